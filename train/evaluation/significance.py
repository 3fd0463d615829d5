"""Whether one kind of run is better than another, over the same seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mer_edge.errors import MerEdgeError


@dataclass(frozen=True)
class PairedTest:
    """A two-sided paired t-test of the differences first - second."""

    pairs: int
    mean_difference: float
    t: float | None
    """None where it is not a finite number; ``note`` says why."""
    p: float | None
    """Chance of differences at least so large if there were none in truth."""
    note: str = ""


def paired_t_test(first: Sequence[float], second: Sequence[float]) -> PairedTest:
    """Student's paired t-test (scipy.stats.ttest_rel) of two series whose places are pairs.

    Without any difference p is 1; with the same difference in every pair there is no spread to
    test it against, and neither t nor p is defined.

    Raises:
        MerEdgeError: fewer than two pairs, or series of different lengths.
    """
    if len(first) != len(second) or len(first) < 2:
        raise MerEdgeError(
            f"a paired t-test over {len(first)} and {len(second)} runs; expected the same number "
            "on both sides, at least 2; train with more seeds"
        )
    differences = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    mean, pairs = float(differences.mean()), len(differences)
    if not differences.any():
        return PairedTest(pairs, 0.0, 0.0, 1.0, "every pair is equal")
    # Scores of a few clips are fractions: equal differences differ by rounding alone.
    if np.ptp(differences) <= 1e-12:
        return PairedTest(
            pairs, mean, None, None, "every pair differs by the same: the test is not defined"
        )
    from scipy.stats import ttest_rel

    found = ttest_rel(first, second)
    return PairedTest(pairs, mean, float(found.statistic), float(found.pvalue))
