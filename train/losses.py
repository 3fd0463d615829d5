"""The loss of a decision, for independent labels and for exclusive ones, and how labels weigh."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mer_edge.decision import Task
from mer_edge.errors import MerEdgeError

CLASS_WEIGHT_POWERS = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}
"""Per way to weigh exclusive labels: to which power of how rare it is a label counts."""
USUAL_CLASS_WEIGHTS = "sqrt"
"""Full balance finds rare labels by calling common ones rare, and its probabilities are those of a
world where all are equally common; no weight at all forgets the rare ones. This lies between."""


def label_loss(logits: Tensor, targets: Tensor, task: Task, weight: Tensor | None) -> Tensor:
    """The loss of each decision; shape = logits.shape[:-1].

    Args:
        logits: (..., labels).
        targets: (..., labels), 0 and 1; of exclusive labels a distribution, usually one 1.
        weight: (labels,): of independent labels what a positive counts (``pos_weight``), of
            exclusive ones what a clip of the label counts. None: all alike.

    Returns:
        Of ``multilabel`` the binary cross-entropy, the mean over the labels (paper, section 3.5);
        of ``multiclass`` the cross-entropy of the softmax.
    """
    if task == "multilabel":
        return F.binary_cross_entropy_with_logits(
            logits, targets, pos_weight=weight, reduction="none"
        ).mean(-1)
    rows = F.cross_entropy(
        logits.flatten(0, -2), targets.flatten(0, -2), weight=weight, reduction="none"
    )
    return rows.view(logits.shape[:-1])


def soft_loss(logits: Tensor, teacher: Tensor, task: Task) -> Tensor:
    """The loss (B,) of logits (B, labels) against the probabilities that a teacher's logits say."""
    if task == "multilabel":
        return label_loss(logits, torch.sigmoid(teacher), task, None)
    return label_loss(logits, torch.softmax(teacher, -1), task, None)


def label_weights(
    targets: NDArray[np.bool_], labels: Iterable[str], task: Task, class_weights: str | None = None
) -> Tensor:
    """What :func:`label_loss` weighs with, from the truth (clips, labels); shape = (labels,).

    Raises:
        MerEdgeError: see :func:`positive_weights`.
    """
    if task == "multilabel":
        return positive_weights(targets, labels)
    return balanced_weights(
        targets, labels, CLASS_WEIGHT_POWERS[class_weights or USUAL_CLASS_WEIGHTS]
    )


def positive_weights(targets: NDArray[np.bool_], labels: Iterable[str]) -> Tensor:
    """Negatives / positives of each label, from the truth (clips, labels); shape = (labels,).

    Raises:
        MerEdgeError: a label is on no clip, or on all of them.
    """
    positives = _positives(targets, labels)
    return torch.from_numpy((len(targets) - positives) / positives).float()


def balanced_weights(targets: NDArray[np.bool_], labels: Iterable[str], power: float) -> Tensor:
    """(clips of the average label / clips of the label) ** power, from the truth (clips, labels).

    Scaled so that the mean over the clips is 1: the loss and the learning rate that suits it stay
    of one size.

    Raises:
        MerEdgeError: a label is on no clip, or on all of them.
    """
    counts = _positives(targets, labels)
    weights = (counts.sum() / len(counts) / counts) ** power
    return torch.from_numpy(weights * counts.sum() / (weights * counts).sum()).float()


def _positives(targets: NDArray[np.bool_], labels: Iterable[str]) -> NDArray[np.int64]:
    """Clips of each label, none of them 0 or all."""
    positives: NDArray[np.int64] = targets.sum(axis=0)
    for label, count in zip(labels, positives.tolist(), strict=True):
        if count in (0, len(targets)):
            raise MerEdgeError(
                f"the label '{label}' is on {count} of {len(targets)} training clips; expected "
                "some with it and some without; add clips to the split 'train' or drop the label"
            )
    return positives
