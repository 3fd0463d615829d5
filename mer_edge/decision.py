"""From logits to probabilities, and from probabilities to a decision: one rule for every stage.

Labels are either independent of each other (``multilabel``: a sigmoid each, decided where the
probability is above the label's threshold) or exclusive (``multiclass``: a softmax over all of
them, decided is the most probable one). Training, export, runtime and evaluation use this module.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from mer_edge.errors import MerEdgeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Task = Literal["multilabel", "multiclass"]
TASKS: tuple[str, ...] = get_args(Task)


@dataclass(frozen=True)
class Temperatures:
    """What logits are divided by before they become probabilities; 1 changes nothing.

    A temperature is fitted on clips that nothing was trained on. It changes how sure a decision
    is, never which label is the most probable one.
    """

    audio: float = 1.0
    """Of the decision of the sound alone; the next two likewise."""
    visual: float = 1.0
    text: float = 1.0
    fused: float = 1.0
    """Of the fused decision."""


UNCALIBRATED = Temperatures()


@dataclass(frozen=True)
class DecisionRule:
    """How the fused logits of a network become its decision."""

    task: Task = "multilabel"
    thresholds: tuple[float, ...] = ()
    """Per label of a ``multilabel`` network: a probability above it is a decision. Empty of a
    ``multiclass`` one."""
    temperature: float = 1.0
    """Of the fused logits."""

    def probabilities(self, logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Probabilities of the labels in the last dimension; the shape is that of ``logits``."""
        return probabilities_of(logits, self.task, self.temperature)

    def decide(self, probabilities: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
        """Which labels are decided; the shape is that of ``probabilities``, (..., labels).

        Of independent labels all whose probability is strictly above their threshold (a threshold
        of 1 never decides), of exclusive ones exactly one: the most probable, of equals the first.
        """
        import numpy as np

        if self.task == "multilabel":
            above: NDArray[np.bool_] = np.asarray(probabilities) > np.asarray(self.thresholds)
            return above
        labels = np.arange(probabilities.shape[-1])
        chosen: NDArray[np.bool_] = labels == probabilities.argmax(-1)[..., None]
        return chosen


def probabilities_of(
    logits: NDArray[np.floating[Any]], task: Task = "multilabel", temperature: float = 1.0
) -> NDArray[np.float64]:
    """Sigmoid or softmax over the last dimension in double precision, without overflow."""
    import numpy as np

    scaled = np.asarray(logits).astype(np.float64) / temperature
    if task == "multilabel":
        sigmoid: NDArray[np.float64] = np.exp(-np.logaddexp(0.0, -scaled))
        return sigmoid
    shifted = np.exp(scaled - scaled.max(-1, keepdims=True))
    softmax: NDArray[np.float64] = shifted / shifted.sum(-1, keepdims=True)
    return softmax


def decision_fault(
    labels: int,
    task: str,
    thresholds: Sequence[float],
    temperatures: Temperatures,
    min_confidence: float | None,
) -> str:
    """The first thing that is wrong with what a checkpoint or a bundle says of its decisions.

    Args:
        labels: how many there are.

    Returns:
        What was found and expected; "" where nothing is wrong.
    """
    if task not in TASKS:
        return f"the task is {task!r}; expected one of {', '.join(TASKS)}"
    if task == "multiclass" and thresholds:
        return f"{len(thresholds)} thresholds of exclusive labels; expected none"
    if task == "multilabel" and len(thresholds) != labels:
        return f"{len(thresholds)} thresholds for {labels} labels; expected one each"
    if not all(0 <= threshold <= 1 for threshold in thresholds):
        return f"thresholds are {list(thresholds)}; expected probabilities in [0, 1]"
    for name, value in asdict(temperatures).items():
        if not 0 < value < math.inf:
            return f"the temperature {name} is {value}; expected more than 0 and finite"
    if min_confidence is None:
        return ""
    if task == "multilabel":
        return "min_confidence of independent labels; expected none: they have a threshold each"
    if not 0 <= min_confidence <= 1:
        return f"min_confidence is {min_confidence}; expected a probability in [0, 1]"
    return ""


def check_min_confidence(value: float, task: str) -> float | None:
    """A user's ``--min-confidence`` as a manifest has it: None for 0, which switches it off.

    Raises:
        MerEdgeError: no probability, or the labels are independent.
    """
    if not 0 <= value <= 1:  # nor is it a number
        raise MerEdgeError(
            f"found min-confidence {value:g}; expected a probability from 0 (always decide) to 1"
        )
    if task == "multilabel":
        raise MerEdgeError(
            "min-confidence was given for a bundle whose labels are independent of each other; "
            "expected one of exclusive labels (train --task multiclass); leave it out: each label "
            "has a threshold of its own"
        )
    return value or None
