"""Confidence intervals of the scores, by drawing the clips anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_edge.errors import MerEdgeError
from train.metrics import Counts

RESAMPLES_AT_A_TIME = 64
"""Bounds the memory: so many times clips times labels bytes, a few times over."""


@dataclass(frozen=True)
class Bootstrap:
    """How the intervals are made: percentiles of the scores over clips drawn with replacement."""

    resamples: int = 1000
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resamples < 100:
            raise MerEdgeError(
                f"{self.resamples} resamples; expected at least 100 for an interval's two ends"
            )
        if not 0 < self.confidence < 1:
            raise MerEdgeError(
                f"a confidence of {self.confidence:g}; expected more than 0 and less than 1"
            )


@dataclass(frozen=True)
class Interval:
    """Where the score of such clips lies with the bootstrap's confidence."""

    low: float
    high: float


@dataclass(frozen=True)
class ScoreIntervals:
    """Of the means over the labels, and of each label's F1."""

    accuracy: Interval
    weighted_accuracy: Interval
    f1: Interval
    label_f1: dict[str, Interval]


def score_intervals(
    predictions: NDArray[np.bool_],
    targets: NDArray[np.bool_],
    labels: Sequence[str],
    bootstrap: Bootstrap = Bootstrap(),
) -> ScoreIntervals:
    """Percentile intervals over clips; decisions and truth have shape (clips, labels).

    All labels of a clip are drawn together. With one clip every interval is a point. A resample
    without positives scores as :class:`train.metrics.Counts` says, so none of the ends is NaN.
    """
    if len(targets) == 1:
        scores = _statistics(Counts.of(predictions, targets))
        return _named(scores, scores, labels)
    from scipy.stats import bootstrap as scipy_bootstrap

    def statistic(chosen: NDArray[np.int64], axis: int) -> NDArray[np.float64]:
        return _statistics(Counts.of(predictions[chosen], targets[chosen]))

    found = scipy_bootstrap(
        (np.arange(len(targets)),),
        statistic,
        n_resamples=bootstrap.resamples,
        batch=RESAMPLES_AT_A_TIME,
        vectorized=True,
        confidence_level=bootstrap.confidence,
        method="percentile",
        rng=np.random.default_rng(bootstrap.seed),
    ).confidence_interval
    return _named(found.low, found.high, labels)


def _statistics(counts: Counts) -> NDArray[np.float64]:
    """Counts (..., labels) to (3 + labels, ...): the three means, then each label's F1."""
    f1 = counts.f1()
    means = (counts.accuracy().mean(-1), counts.weighted_accuracy().mean(-1), f1.mean(-1))
    return np.stack([*means, *np.moveaxis(f1, -1, 0)])


def _named(
    low: NDArray[np.float64], high: NDArray[np.float64], labels: Sequence[str]
) -> ScoreIntervals:
    intervals = [Interval(float(a), float(b)) for a, b in zip(low, high, strict=True)]
    accuracy, weighted_accuracy, f1, *label_f1 = intervals
    return ScoreIntervals(accuracy, weighted_accuracy, f1, dict(zip(labels, label_f1, strict=True)))
