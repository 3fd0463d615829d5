"""Everything that is found out about a subject on one split, and of several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_edge.decision import DecisionRule
from mer_edge.errors import MerEdgeError
from mer_edge.segments import MODALITIES
from train.evaluation.calibration import (
    Calibration,
    TemperatureScaling,
    calibration,
    temperature_scaling,
)
from train.evaluation.coverage import Coverage, coverage_of
from train.evaluation.headline import headline
from train.evaluation.intervals import (
    Bootstrap,
    ClassIntervals,
    ScoreIntervals,
    class_intervals,
    score_intervals,
)
from train.evaluation.significance import PairedTest, paired_t_test
from train.evaluation.subject import ClipPredictions, SubjectInfo
from train.metrics import ClassScores, Counts, Scores, score, score_classes

EVALUATION_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class LabelConfusion:
    """The 2 x 2 table of one label taken as a yes/no question."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int


@dataclass(frozen=True)
class OperatingPoint:
    """How good the subject's decisions are at given thresholds."""

    thresholds: dict[str, float]
    """None of exclusive labels: the most probable one is the decision."""
    scores: Scores
    intervals: ScoreIntervals
    confusion: dict[str, LabelConfusion]


@dataclass(frozen=True)
class WeightSummary:
    """How much a modality counts in the fused decision, over the clips that have it."""

    clips: int
    mean: float | None
    """None where no clip has the modality, like the others."""
    deviation: float | None
    quartiles: tuple[float, float, float] | None
    label_means: dict[str, float | None]
    """Mean over the clips of each label that have the modality."""


@dataclass(frozen=True)
class SubjectEvaluation:
    """One subject on one split."""

    info: SubjectInfo
    headline: dict[str, float]
    """The figures of ``train.evaluation.headline``."""
    tuned: OperatingPoint
    """At the thresholds that were tuned on the validation split when it was trained; of exclusive
    labels by the most probable one."""
    at_half: OperatingPoint | None
    """None of exclusive labels."""
    classes: ClassScores | None
    """None unless every clip has exactly one label."""
    calibration: Calibration
    temperature: TemperatureScaling | None
    """None unless asked for. It changes probabilities, not one decision at 0.5, nor which label is
    the most probable."""
    modality_weights: dict[str, WeightSummary]
    """Keys ``audio``, ``visual``, ``text``."""
    notes: list[str]
    class_intervals: ClassIntervals | None = None
    """Of exclusive labels, where every clip has one; so is the coverage."""
    coverage: Coverage | None = None


@dataclass(frozen=True)
class FigureComparison:
    """One figure over the seeds of both sides."""

    first: list[float]
    second: list[float]
    test: PairedTest


@dataclass(frozen=True)
class Comparison:
    """Two sides whose runs are paired by their seeds."""

    seeds: list[int]
    first: list[str]
    """Names of the subjects, in the seeds' order."""
    second: list[str]
    figures: dict[str, FigureComparison]


@dataclass(frozen=True)
class DataSummary:
    """What was evaluated on."""

    path: str
    dataset: str
    split: str
    clips: int
    fingerprint: str
    skipped: list[dict[str, str]]
    notes: list[str]


@dataclass(frozen=True)
class Evaluation:
    """``evaluation.json``."""

    data: DataSummary
    bootstrap: Bootstrap
    subjects: list[SubjectEvaluation]
    against: Comparison | None
    schema_version: int = EVALUATION_SCHEMA_VERSION


def evaluate_predictions(
    info: SubjectInfo,
    predictions: ClipPredictions,
    bootstrap: Bootstrap,
    valid: ClipPredictions | None = None,
    notes: Sequence[str] = (),
) -> SubjectEvaluation:
    """Score what ``info``'s subject said.

    Args:
        valid: what it said of the validation split, to fit a temperature on; None: none is.
    """
    probabilities, truth = predictions.probabilities, predictions.targets
    exclusive = info.task == "multiclass"
    half = DecisionRule("multilabel", (0.5,) * len(info.labels))
    classes = score_classes(probabilities, truth)
    if exclusive and classes is None:
        count = int((truth.sum(axis=1) != 1).sum())
        told = f"{count} clips have not exactly one label: no accuracy, UAR, confusion or coverage"
        notes = [*notes, told]
    by_class = exclusive and classes is not None
    return SubjectEvaluation(
        info=info,
        headline=headline(predictions, info.rule, info.labels),
        tuned=_at(info.rule, predictions, info.labels, bootstrap),
        at_half=None if exclusive else _at(half, predictions, info.labels, bootstrap),
        classes=classes,
        calibration=calibration(probabilities, truth, info.labels, info.task),
        temperature=None
        if valid is None
        else temperature_scaling(
            (valid.probabilities, valid.targets), (probabilities, truth), info.task
        ),
        modality_weights={
            name: summarise_weights(predictions.weights[:, i], truth, info.labels)
            for i, name in enumerate(MODALITIES)
        },
        notes=list(notes),
        class_intervals=class_intervals(probabilities, truth, bootstrap) if by_class else None,
        coverage=coverage_of(probabilities, truth, info.min_confidence) if by_class else None,
    )


def _at(
    rule: DecisionRule,
    predictions: ClipPredictions,
    labels: Sequence[str],
    bootstrap: Bootstrap,
) -> OperatingPoint:
    decided, truth = rule.decide(predictions.probabilities), predictions.targets
    counts = Counts.of(decided, truth)
    table = np.stack(
        [
            counts.true_positives,
            counts.false_positives,
            counts.false_negatives,
            counts.true_negatives,
        ]
    )
    return OperatingPoint(
        thresholds=dict(zip(labels, rule.thresholds, strict=False)),
        scores=score(decided, truth, labels),
        intervals=score_intervals(decided, truth, labels, bootstrap),
        confusion={label: LabelConfusion(*table[:, i].tolist()) for i, label in enumerate(labels)},
    )


def summarise_weights(
    weights: NDArray[np.float64], targets: NDArray[np.bool_], labels: Sequence[str]
) -> WeightSummary:
    """Of one modality's weights (clips,), 0 where it is absent, and the truth (clips, labels)."""
    present = weights > 0
    found = weights[present]
    if not len(found):
        return WeightSummary(0, None, None, None, dict.fromkeys(labels))
    of_label = [weights[present & targets[:, i]] for i in range(len(labels))]
    low, middle, high = np.quantile(found, (0.25, 0.5, 0.75)).tolist()
    return WeightSummary(
        clips=len(found),
        mean=float(found.mean()),
        deviation=float(found.std(ddof=1)) if len(found) > 1 else None,
        quartiles=(low, middle, high),
        label_means={
            label: float(some.mean()) if len(some) else None
            for label, some in zip(labels, of_label, strict=True)
        },
    )


def compare(first: Sequence[SubjectEvaluation], second: Sequence[SubjectEvaluation]) -> Comparison:
    """Pair the two sides' runs by seed and test every figure that all of them have.

    Raises:
        MerEdgeError: a seed is unknown, twice on one side, or on one side alone; or there are
            fewer than two pairs.
    """
    ours, theirs = _by_seed(first), _by_seed(second)
    if ours.keys() != theirs.keys():
        raise MerEdgeError(
            f"the seeds are {sorted(ours)} on one side and {sorted(theirs)} on the other; "
            "expected the same, for the test pairs runs of one seed; name the runs that belong "
            "together"
        )
    seeds = sorted(ours)
    figures = {}
    sides = (*ours.values(), *theirs.values())
    for name in sides[0].headline:
        if any(name not in one.headline for one in sides):
            continue  # of exclusive labels there are fewer figures
        first_values = [ours[seed].headline[name] for seed in seeds]
        second_values = [theirs[seed].headline[name] for seed in seeds]
        test = paired_t_test(first_values, second_values)
        figures[name] = FigureComparison(first_values, second_values, test)
    return Comparison(
        seeds=seeds,
        first=[ours[seed].info.name for seed in seeds],
        second=[theirs[seed].info.name for seed in seeds],
        figures=figures,
    )


def _by_seed(side: Sequence[SubjectEvaluation]) -> dict[int, SubjectEvaluation]:
    found: dict[int, SubjectEvaluation] = {}
    for evaluated in side:
        seed, path = evaluated.info.seed, evaluated.info.path
        if seed is None:
            raise MerEdgeError(
                f"{path} does not say which seed it was trained with; expected a run, or the "
                "bundle of one, to pair it by"
            )
        if seed in found:
            raise MerEdgeError(
                f"{path} and {found[seed].info.path} both have the seed {seed}; expected each "
                "seed once a side"
            )
        found[seed] = evaluated
    return found
