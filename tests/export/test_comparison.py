import numpy as np
import pytest

from export.comparison import compare


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
    arrays = {"reference": np.ones((2, 3), np.float32), "actual": np.ones((2, 3), np.float32)}
    arrays[side][1, 2] = bad
    found = compare("weights", **arrays)
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


def test_another_shape_is_an_error():
    with pytest.raises(ValueError, match=r"logits has shape \(2, 3\); expected \(3, 2\)"):
        compare("logits", np.zeros((3, 2)), np.zeros((2, 3)))
