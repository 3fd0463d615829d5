"""Coverage against accuracy: how often a decision is right where the unsure ones are left open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)


@dataclass(frozen=True)
class CoveragePoint:
    """What is decided where every clip below a confidence is "uncertain"."""

    min_confidence: float
    coverage: float
    """Share of the clips that are decided."""
    accuracy: float | None
    """Share of the decided ones that are right; None where none is decided."""


@dataclass(frozen=True)
class Coverage:
    """Of exclusive labels, where every clip has exactly one."""

    own: CoveragePoint | None
    """At the least confidence of the run or bundle; None without one."""
    points: list[CoveragePoint]
    """At the shares of :data:`SHARES`: the surest clips are decided."""


def coverage_of(
    probabilities: NDArray[np.float64], targets: NDArray[np.bool_], min_confidence: float | None
) -> Coverage:
    """Of probabilities and truth (clips, labels), at least one clip, each with one label."""
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == targets.argmax(1)
    order = np.argsort(-confidence, kind="stable")
    points = []
    for share in SHARES:
        chosen = order[: max(1, round(share * len(order)))]
        least = float(confidence[chosen[-1]])
        points.append(CoveragePoint(least, len(chosen) / len(order), float(right[chosen].mean())))
    if min_confidence is None:
        return Coverage(None, points)
    decided = confidence >= min_confidence
    accuracy = float(right[decided].mean()) if decided.any() else None
    return Coverage(CoveragePoint(min_confidence, float(decided.mean()), accuracy), points)
