"""Accuracy, weighted accuracy and F1 per label, and their plain means (paper, section 4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Counts:
    """How the decisions on some clips fell out; arrays of one shape, (..., labels), int64."""

    true_positives: NDArray[np.int64]
    false_positives: NDArray[np.int64]
    false_negatives: NDArray[np.int64]
    true_negatives: NDArray[np.int64]

    @classmethod
    def of(cls, predictions: NDArray[np.bool_], targets: NDArray[np.bool_]) -> Counts:
        """Of decisions and truth, both (..., clips, labels): summed over the clips."""
        return cls(
            true_positives=(predictions & targets).sum(axis=-2),
            false_positives=(predictions & ~targets).sum(axis=-2),
            false_negatives=(~predictions & targets).sum(axis=-2),
            true_negatives=(~predictions & ~targets).sum(axis=-2),
        )

    @property
    def positives(self) -> NDArray[np.int64]:
        return self.true_positives + self.false_negatives

    @property
    def negatives(self) -> NDArray[np.int64]:
        return self.true_negatives + self.false_positives

    def accuracy(self) -> NDArray[np.float64]:
        """(TP + TN) / (P + N)"""
        right = self.true_positives + self.true_negatives
        shares: NDArray[np.float64] = right / (self.positives + self.negatives)
        return shares

    def weighted_accuracy(self) -> NDArray[np.float64]:
        """(TP * N / P + TN) / (2 N): the mean of the two recalls.

        Where all clips are on one side, the recall of the other does not exist and this is the
        recall of the side that does, as in scikit-learn's balanced accuracy.
        """
        positives, negatives = self.positives, self.negatives
        recalls = self.true_positives / np.maximum(positives, 1) + (
            self.true_negatives / np.maximum(negatives, 1)
        )
        mean: NDArray[np.float64] = recalls / (np.sign(positives) + np.sign(negatives))
        return mean

    def f1(self) -> NDArray[np.float64]:
        """2 TP / (2 TP + FP + FN); 0 where nothing is positive and nothing was found."""
        wrong = self.false_positives + self.false_negatives
        return 2 * self.true_positives / np.maximum(2 * self.true_positives + wrong, 1)


@dataclass(frozen=True)
class LabelScores:
    """One label taken as a yes/no question; the formulas are those of :class:`Counts`."""

    accuracy: float
    weighted_accuracy: float
    f1: float
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
        ValueError: the shapes differ, or there is no clip or no label.
    """
    if predictions.shape != targets.shape or targets.shape[1:] != (len(labels),) or not labels:
        raise ValueError(f"predictions {predictions.shape}, targets {targets.shape}, {labels=}")
    if len(targets) == 0:
        raise ValueError("no clip to score")
    counts = Counts.of(predictions, targets)
    accuracy, weighted, f1 = counts.accuracy(), counts.weighted_accuracy(), counts.f1()
    return Scores(
        accuracy=float(accuracy.mean()),
        weighted_accuracy=float(weighted.mean()),
        f1=float(f1.mean()),
        labels={
            label: LabelScores(
                accuracy=float(accuracy[i]),
                weighted_accuracy=float(weighted[i]),
                f1=float(f1[i]),
                positives=int(counts.positives[i]),
                clips=len(targets),
            )
            for i, label in enumerate(labels)
        },
    )


def decide(
    probabilities: NDArray[np.floating], thresholds: Sequence[float] | float
) -> NDArray[np.bool_]:
    """A probability above its label's threshold is a decision; shape (clips, labels)."""
    return np.asarray(probabilities) > np.asarray(thresholds)


@dataclass(frozen=True)
class ClassScores:
    """Scores of a data set on which every clip has exactly one label: the most probable counts."""

    accuracy: float
    unweighted_average_recall: float
    """UAR: mean over the classes that some clip has of the share of their clips found."""
    weighted_f1: float
    """Mean F1 over the classes, each weighted by its clips."""
    macro_f1: float
    """Plain mean F1 over the classes, those without a clip included."""
    confusion: list[list[int]]
    """Clips by true class (row) and most probable class (column), in the labels' order."""


def score_classes(
    probabilities: NDArray[np.floating], targets: NDArray[np.bool_]
) -> ClassScores | None:
    """Scores of the most probable label; None unless every clip has exactly one label.

    Args:
        probabilities: shape (clips, labels); of equals the first counts.
        targets: shape (clips, labels).
    """
    if len(targets) == 0 or not (targets.sum(axis=1) == 1).all():
        return None
    truth, found = targets.argmax(axis=1), np.asarray(probabilities).argmax(axis=1)
    confusion = np.zeros((targets.shape[1],) * 2, np.int64)
    np.add.at(confusion, (truth, found), 1)
    clips, right = confusion.sum(axis=1), confusion.diagonal()
    f1 = 2 * right / np.maximum(clips + confusion.sum(axis=0), 1)
    return ClassScores(
        accuracy=float(right.sum() / len(truth)),
        unweighted_average_recall=float((right[clips > 0] / clips[clips > 0]).mean()),
        weighted_f1=float((f1 * clips).sum() / len(truth)),
        macro_f1=float(f1.mean()),
        confusion=confusion.tolist(),
    )
