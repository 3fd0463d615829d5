"""Confidence intervals of the scores, by drawing the clips anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


@dataclass(frozen=True)
class ClassIntervals:
    """Of the most probable class, where every clip has exactly one."""

    accuracy: Interval
    unweighted_average_recall: Interval


def class_intervals(
    probabilities: NDArray[np.float64],
    targets: NDArray[np.bool_],
    bootstrap: Bootstrap = Bootstrap(),
) -> ClassIntervals:
    """Percentile intervals over clips, (clips, labels) both, exactly one label a clip.

    Of a resample without a class the recall is the mean over the others.
    """
    truth = targets.argmax(1)
    right = probabilities.argmax(1) == truth

    def statistic(chosen: NDArray[np.int64], axis: int = -1) -> NDArray[np.float64]:
        found, classes = right[chosen], truth[chosen]
        recalls = []
        for label in range(targets.shape[1]):
            clips = classes == label
            count = clips.sum(axis)
            recalls.append(
                np.where(count, (found & clips).sum(axis) / np.maximum(count, 1), np.nan)
            )
        return np.stack([found.mean(axis), np.nanmean(recalls, axis=0)])

    low, high = _percentiles(len(targets), statistic, bootstrap)
    return ClassIntervals(*(Interval(float(a), float(b)) for a, b in zip(low, high, strict=True)))


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

    def statistic(chosen: NDArray[np.int64], axis: int = -1) -> NDArray[np.float64]:
        return _statistics(Counts.of(predictions[chosen], targets[chosen]))

    return _named(*_percentiles(len(targets), statistic, bootstrap), labels)


def _percentiles(
    clips: int, statistic: Callable[..., NDArray[np.float64]], bootstrap: Bootstrap
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both ends of a statistic of the chosen clips' numbers, (..., clips) -> (scores, ...)."""
    if clips == 1:
        alone = statistic(np.zeros(1, np.int64))
        return alone, alone
    from scipy.stats import bootstrap as scipy_bootstrap

    found = scipy_bootstrap(
        (np.arange(clips),),
        statistic,
        n_resamples=bootstrap.resamples,
        batch=RESAMPLES_AT_A_TIME,
        vectorized=True,
        confidence_level=bootstrap.confidence,
        method="percentile",
        rng=np.random.default_rng(bootstrap.seed),
    ).confidence_interval
    return found.low, found.high


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
