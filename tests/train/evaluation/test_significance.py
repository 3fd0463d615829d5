import math

import numpy as np
import pytest

from mer_edge.errors import MerEdgeError
from train.evaluation.significance import paired_t_test


def test_by_hand():
    """Differences 1, 2, 3: mean 2, deviation 1, t = 2 / (1 / sqrt 3) with 2 degrees of freedom."""
    got = paired_t_test([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert (got.pairs, got.mean_difference) == (3, 2.0)
    t = 2 * math.sqrt(3)
    assert got.t == pytest.approx(t)
    # The distribution function of Student's t with 2 degrees of freedom is known in closed form.
    assert got.p == pytest.approx(1 - t / math.sqrt(2 + t**2))


def test_no_difference_is_p_1():
    got = paired_t_test([0.5, 0.6], [0.5, 0.6])
    assert (got.mean_difference, got.t, got.p) == (0.0, 0.0, 1.0)


def test_equal_differences_are_told_as_not_defined():
    got = paired_t_test([0.3, 0.5, 0.7], [0.2, 0.4, 0.6])  # rounding makes them differ by 1e-17
    assert got.mean_difference == pytest.approx(0.1)
    assert (got.t, got.p) == (None, None)
    assert "not defined" in got.note


def test_almost_equal_values_give_numbers():
    rng = np.random.default_rng(0)
    first = rng.random(5)
    got = paired_t_test(first, first + rng.normal(0, 1e-9, 5))
    assert math.isfinite(got.t)
    assert 0 <= got.p <= 1


@pytest.mark.parametrize(("first", "second"), [([0.5], [0.4]), ([], []), ([1, 2, 3], [1, 2])])
def test_too_few_pairs_are_refused(first, second):
    with pytest.raises(MerEdgeError, match="at least 2; train with more seeds"):
        paired_t_test(first, second)
