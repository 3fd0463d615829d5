import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mer_edge.parity.comparison import compare, cosine

unit = st.floats(-1, 1, width=32)


def test_largest_mean_and_quantile_of_the_difference_and_its_place():
    reference = np.zeros((10, 100), np.float32)
    actual = reference.copy()
    actual[3, 7] = -0.5
    actual[4, 0] = 0.25
    found = compare("logits", reference, actual)
    assert (found.max_abs, found.index, found.finite) == (0.5, (3, 7), True)
    assert found.mean_abs == pytest.approx(0.75 / 1000)
    # Of 1000 sorted differences the 99.9 % quantile lies 0.001 above the second largest:
    # position 0.999 * 999 = 998.001.
    assert found.quantile_999_abs == pytest.approx(0.25 + 0.001 * 0.25)
    assert found.within(0.5)
    assert not found.within(0.49)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", ["reference", "actual"])
def test_a_value_that_is_not_finite_is_never_within(bad, side):
    tensors = {"reference": np.ones((2, 3), np.float32), "actual": np.ones((2, 3), np.float32)}
    tensors[side][1, 2] = bad
    found = compare("weights", **tensors)
    assert not found.finite
    assert found.index == (1, 2)
    assert not found.within(float("inf"))
    assert str(found) == "weights[1, 2] is not finite"


def test_equal_infinities_do_not_pass():
    both = np.array([np.inf], np.float32)
    assert not compare("logits", both, both).within(1.0)


def test_float32_is_compared_in_float64():
    reference = np.array([16_777_216.0], np.float32)
    found = compare("x", reference, reference.astype(np.float64) + 0.5)
    assert found.max_abs == 0.5
    assert found.reference_max_abs == 16_777_216.0


def test_another_shape_is_a_difference_without_end():
    found = compare("logits", np.zeros((3, 2)), np.zeros((2, 3)))
    assert (found.max_abs, found.finite, found.cosine) == (np.inf, False, 0.0)
    assert str(found) == "logits has the shape (2, 3), expected (3, 2)"


def test_cosine_of_known_vectors():
    x = np.array([3.0, 4.0])
    assert cosine(x, 2 * x) == pytest.approx(1)
    assert cosine(x, -x) == pytest.approx(-1)
    assert cosine(x, np.array([-4.0, 3.0])) == pytest.approx(0, abs=1e-15)
    assert cosine(x, np.array([4.0, 3.0])) == pytest.approx(24 / 25)
    assert cosine(np.zeros(2), np.zeros(2)) == 1
    assert cosine(x, np.zeros(2)) == 0


finite = st.floats(-1e300, 1e300, allow_subnormal=False)
pairs = st.integers(1, 40).flatmap(
    lambda size: st.tuples(*[arrays(np.float64, size, elements=finite)] * 2)
)


@given(pairs)
@settings(max_examples=200, deadline=None)
def test_cosine_stays_in_its_range_whatever_the_scale(pair):
    first, second = pair
    found = cosine(first, second)
    assert -1 <= found <= 1
    assert found == cosine(second, first)
    assert cosine(first, first) == pytest.approx(1)


@given(pairs, st.floats(1e-3, 1e3))
@settings(max_examples=200, deadline=None)
def test_cosine_is_of_directions(pair, scale):
    first, second = pair[0] / 1e200, pair[1] / 1e200
    assert cosine(first * scale, second) == pytest.approx(cosine(first, second), abs=1e-9)


@given(arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=unit), unit)
@settings(max_examples=200, deadline=None)
def test_the_statistics_are_ordered_and_the_index_is_the_largest(reference, shift):
    rng = np.random.default_rng(abs(hash(float(shift))) % 2**32)
    actual = (reference + shift * rng.random(reference.shape)).astype(np.float32)
    found = compare("x", reference, actual)
    assert 0 <= found.mean_abs <= found.max_abs
    assert found.quantile_999_abs <= found.max_abs
    place = abs(float(actual[found.index]) - float(reference[found.index]))
    assert place == found.max_abs
    assert found.within(found.max_abs)
    assert found.max_abs == 0 or not found.within(np.nextafter(found.max_abs, 0))
