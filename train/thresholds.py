"""A decision threshold per label, chosen on the validation split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer_edge.decision import DecisionRule, Task
from train.metrics import decide, score

CANDIDATES = tuple(round(0.05 * i, 2) for i in range(1, 20))
"""0.05 to 0.95 by 0.05."""


def tune_rule(
    probabilities: NDArray[np.floating], targets: NDArray[np.bool_], task: Task
) -> DecisionRule:
    """How a network decides that said this of the validation split, (clips, labels) both.

    Exclusive labels have nothing to tune: the most probable one is the decision.
    """
    if task == "multiclass":
        return DecisionRule(task)
    return DecisionRule(task, tuple(tune_thresholds(probabilities, targets)))


def tune_thresholds(probabilities: NDArray[np.floating], targets: NDArray[np.bool_]) -> list[float]:
    """The candidate with the best F1 for each label, on probabilities and truth (clips, labels).

    Of candidates that are equally good the one nearest to 0.5 wins, the lower of two such: a
    small validation split leaves wide plateaus, and their edges are the worst guess.
    """
    return [
        _best_threshold(probabilities[:, [i]], targets[:, [i]]) for i in range(targets.shape[1])
    ]


def _best_threshold(probabilities: NDArray[np.floating], targets: NDArray[np.bool_]) -> float:
    def preference(candidate: float) -> tuple[float, float]:
        f1 = score(decide(probabilities, candidate), targets, ["label"]).f1
        return f1, -round(abs(candidate - 0.5), 2)

    return max(CANDIDATES, key=preference)
