"""Accuracy, weighted accuracy and F1 per label, and their plain means (paper, section 4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelScores:
    """One label taken as a yes/no question."""

    accuracy: float
    """(TP + TN) / (P + N)"""
    weighted_accuracy: float
    """(TP * N / P + TN) / (2 N): the mean of the two recalls.

    Where all clips are on one side, the recall of the other does not exist and this is the
    recall of the side that does."""
    f1: float
    """2 TP / (2 TP + FP + FN); 0 where nothing is positive and nothing was found."""
    positives: int
    clips: int


@dataclass(frozen=True)
class Scores:
    """Scores per label, and their means over the labels."""

    accuracy: float
    weighted_accuracy: float
    f1: float
    labels: dict[str, LabelScores]


def score(
    predictions: NDArray[np.bool_], targets: NDArray[np.bool_], labels: Sequence[str]
) -> Scores:
    """Compare decisions with the truth; both have shape (clips, labels).

    Raises:
        ValueError: the shapes differ, or there is no clip.
    """
    if predictions.shape != targets.shape or targets.shape[1:] != (len(labels),):
        raise ValueError(f"predictions {predictions.shape}, targets {targets.shape}, {labels=}")
    if len(targets) == 0:
        raise ValueError("no clip to score")
    per_label = {
        label: _score_label(predictions[:, i], targets[:, i]) for i, label in enumerate(labels)
    }
    return Scores(
        accuracy=_mean([s.accuracy for s in per_label.values()]),
        weighted_accuracy=_mean([s.weighted_accuracy for s in per_label.values()]),
        f1=_mean([s.f1 for s in per_label.values()]),
        labels=per_label,
    )


def decide(
    probabilities: NDArray[np.floating], thresholds: Sequence[float] | float
) -> NDArray[np.bool_]:
    """A probability above its label's threshold is a decision; shape (clips, labels)."""
    return np.asarray(probabilities) > np.asarray(thresholds)


def _score_label(predicted: NDArray[np.bool_], actual: NDArray[np.bool_]) -> LabelScores:
    true_positives = int((predicted & actual).sum())
    true_negatives = int((~predicted & ~actual).sum())
    positives, clips = int(actual.sum()), len(actual)
    negatives = clips - positives
    wrong = clips - true_positives - true_negatives
    recalls = [
        found / total
        for found, total in ((true_positives, positives), (true_negatives, negatives))
        if total
    ]
    found_or_missed = 2 * true_positives + wrong
    return LabelScores(
        accuracy=(true_positives + true_negatives) / clips,
        weighted_accuracy=_mean(recalls),
        f1=2 * true_positives / found_or_missed if found_or_missed else 0.0,
        positives=positives,
        clips=clips,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
