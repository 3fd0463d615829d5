"""The few figures by which runs are compared: of two subjects, over seeds, in an ablation."""

from __future__ import annotations

from collections.abc import Sequence

from mer_edge.decision import DecisionRule
from train.evaluation.subject import ClipPredictions
from train.metrics import decide, score, score_classes

HEADLINES = {
    "f1": "Avg F1",
    "accuracy": "Avg Acc",
    "weighted_accuracy": "Avg WA",
    "f1_at_half": "Avg F1 at 0.5",
    "accuracy_at_half": "Avg Acc at 0.5",
    "weighted_accuracy_at_half": "Avg WA at 0.5",
    "unweighted_average_recall": "UAR",
    "class_accuracy": "class accuracy",
}
"""What each figure is called in tables. The last two exist where every clip has one label; of
exclusive labels they and the first, the macro-F1 of the most probable label, are all there are."""


def headline(
    predictions: ClipPredictions, rule: DecisionRule, labels: Sequence[str]
) -> dict[str, float]:
    """The figures of :data:`HEADLINES` that these clips have.

    Of independent labels at the rule's thresholds and at 0.5.
    """
    probabilities, truth = predictions.probabilities, predictions.targets
    tuned = score(rule.decide(probabilities), truth, labels)
    figures = {"f1": tuned.f1}
    if rule.task == "multilabel":
        half = score(decide(probabilities, 0.5), truth, labels)
        figures |= {
            "accuracy": tuned.accuracy,
            "weighted_accuracy": tuned.weighted_accuracy,
            "f1_at_half": half.f1,
            "accuracy_at_half": half.accuracy,
            "weighted_accuracy_at_half": half.weighted_accuracy,
        }
    classes = score_classes(probabilities, truth)
    if classes is not None:
        figures["unweighted_average_recall"] = classes.unweighted_average_recall
        figures["class_accuracy"] = classes.accuracy
    return figures
