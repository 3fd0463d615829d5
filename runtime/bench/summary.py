"""Figures of many runs. No run is left out, however slow: percentiles are runs that happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
CONFIDENCE = 0.95
SEED = 0


@dataclass(frozen=True)
class Latency:
    """Wall times of one thing, milliseconds."""

    runs: int
    p50_ms: float
    p90_ms: float
    """Nine in ten runs took no longer. Of few runs p90 and p99 are the longest ones."""
    p99_ms: float
    mean_ms: float
    min_ms: float
    max_ms: float

    @classmethod
    def of(cls, times_ms: Sequence[float]) -> Latency:
        """Of at least one run; p90 and p99 are the least time that so many runs did not exceed."""
        values = np.asarray(times_ms, np.float64)
        p90, p99 = np.percentile(values, (90, 99), method="inverted_cdf")
        return cls(
            runs=len(values),
            p50_ms=float(np.median(values)),
            p90_ms=float(p90),
            p99_ms=float(p99),
            mean_ms=float(values.mean()),
            min_ms=float(values.min()),
            max_ms=float(values.max()),
        )

    @property
    def tail(self) -> float:
        """p99 over the median."""
        return self.p99_ms / self.p50_ms


@dataclass(frozen=True)
class Ratio:
    """How many times as long the other one took, by runs in turn."""

    rounds: int
    of_medians: float
    """Above 1: the other one is slower."""
    low: float
    high: float
    """95 % confidence interval of the ratio of medians: bootstrap over whole rounds."""
    quartiles: tuple[float, float, float]
    """Of the rounds' own ratios: 25 %, 50 %, 75 %."""

    @classmethod
    def of(cls, own_ms: Sequence[float], other_ms: Sequence[float]) -> Ratio:
        """Of two series of which the i-th belong to one round; at least one round."""
        own, other = np.asarray(own_ms, np.float64), np.asarray(other_ms, np.float64)
        low, high = _interval(own, other)
        first, second, third = np.percentile(other / own, (25, 50, 75)).tolist()
        return cls(
            rounds=len(own),
            of_medians=float(np.median(other) / np.median(own)),
            low=low,
            high=high,
            quartiles=(first, second, third),
        )


def _interval(own: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float]:
    """Rounds are drawn anew with both of their times, which share what disturbed them."""
    draws = np.random.default_rng(SEED).integers(0, len(own), (RESAMPLES, len(own)))
    ratios = np.median(other[draws], axis=1) / np.median(own[draws], axis=1)
    outside = (1 - CONFIDENCE) / 2 * 100
    low, high = np.percentile(ratios, (outside, 100 - outside)).tolist()
    return low, high
