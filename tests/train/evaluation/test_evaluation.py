"""What is found out about a subject's predictions, without a subject."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from rich.console import Console
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from mer_edge.errors import MerEdgeError
from train.evaluation.evaluation import (
    DataSummary,
    Evaluation,
    compare,
    evaluate_predictions,
    summarise_weights,
)
from train.evaluation.headline import headline
from train.evaluation.intervals import Bootstrap
from train.evaluation.subject import ClipPredictions, SubjectInfo
from train.evaluation.tables import print_evaluation
from train.metrics import decide, score

QUICK = Bootstrap(resamples=100)
INFO = SubjectInfo(
    name="one",
    path="runs/one",
    kind="run",
    variant="MER",
    preset="tiny",
    labels=["a", "b", "c"],
    thresholds=[0.5, 0.3, 0.7],
    parameters=10,
    seed=0,
    data_fingerprint="",
    notice="",
)


def predictions(clips: int = 30, single: bool = True, seed: int = 0) -> ClipPredictions:
    rng = np.random.default_rng(seed)
    truth = np.eye(3, dtype=bool)[rng.integers(3, size=clips)]
    if not single:
        truth = rng.random((clips, 3)) < 0.4
    weights = rng.dirichlet((1, 1, 1), clips)
    return ClipPredictions(
        np.clip(0.5 * truth + 0.5 * rng.random((clips, 3)), 0, 1), truth, weights
    )


def test_scores_confusion_and_figures_agree_with_each_other():
    said = predictions()
    got = evaluate_predictions(INFO, said, QUICK)
    wanted = score(decide(said.probabilities, INFO.thresholds), said.targets, INFO.labels)
    assert got.tuned.scores == wanted
    assert got.tuned.thresholds == {"a": 0.5, "b": 0.3, "c": 0.7}
    assert got.at_half.thresholds == {"a": 0.5, "b": 0.5, "c": 0.5}
    assert got.headline["f1"] == wanted.f1
    assert got.headline["f1_at_half"] == got.at_half.scores.f1
    assert got.headline["unweighted_average_recall"] == got.classes.unweighted_average_recall
    table = got.tuned.confusion["b"]
    assert table.true_positives + table.false_negatives == said.targets[:, 1].sum()
    f1 = (
        2
        * table.true_positives
        / (2 * table.true_positives + table.false_positives + table.false_negatives)
    )
    assert f1 == wanted.labels["b"].f1
    assert got.tuned.intervals.f1.low <= wanted.f1 <= got.tuned.intervals.f1.high
    assert got.temperature is None
    json.dumps(asdict(got), allow_nan=False)


def test_several_labels_a_clip_have_no_class_scores():
    said = predictions(single=False)
    assert evaluate_predictions(INFO, said, QUICK).classes is None
    assert set(headline(said, INFO.rule, INFO.labels)) == {
        "f1",
        "accuracy",
        "weighted_accuracy",
        "f1_at_half",
        "accuracy_at_half",
        "weighted_accuracy_at_half",
    }


def test_weights_count_where_the_modality_is():
    weights = np.array([0.2, 0.4, 0.0, 0.6])
    truth = np.array([[1, 0], [1, 0], [1, 0], [0, 0]], bool)
    got = summarise_weights(weights, truth, ["a", "b"])
    assert (got.clips, got.mean) == (3, pytest.approx(0.4))
    assert got.quartiles == pytest.approx((0.3, 0.4, 0.5))
    assert got.label_means == {"a": pytest.approx(0.3), "b": None}
    assert summarise_weights(np.zeros(4), truth, ["a", "b"]).mean is None


def evaluated(seed: int | None, f1: float, name: str = "run"):
    found = evaluate_predictions(replace(INFO, name=name, path=name), predictions(6), QUICK)
    return replace(found, info=replace(found.info, seed=seed), headline={"f1": f1})


def test_runs_are_paired_by_their_seeds():
    first = [evaluated(2, 0.7, "a2"), evaluated(0, 0.5, "a0"), evaluated(1, 0.6, "a1")]
    second = [evaluated(0, 0.4, "b0"), evaluated(1, 0.55, "b1"), evaluated(2, 0.5, "b2")]
    got = compare(first, second)
    assert (got.seeds, got.first) == ([0, 1, 2], ["a0", "a1", "a2"])
    assert got.figures["f1"].first == [0.5, 0.6, 0.7]
    assert got.figures["f1"].second == [0.4, 0.55, 0.5]
    assert got.figures["f1"].test.mean_difference == pytest.approx(0.35 / 3)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([0, 1], [0, 2], r"the seeds are \[0, 1\] on one side and \[0, 2\] on the other"),
        ([0, 0], [0, 1], "both have the seed 0; expected each seed once a side"),
        ([None], [0], "does not say which seed it was trained with"),
        ([3], [3], "a paired t-test over 1 and 1 runs; .* train with more seeds"),
    ],
)
def test_runs_that_cannot_be_paired_are_refused(first, second, message):
    with pytest.raises(MerEdgeError, match=message):
        compare([evaluated(s, 0.5) for s in first], [evaluated(s, 0.4) for s in second])


EXCLUSIVE = replace(INFO, task="multiclass", thresholds=[], min_confidence=0.5)


def shares(clips: int = 60, single: bool = True) -> ClipPredictions:
    said = predictions(clips, single)
    noisy = np.maximum(said.probabilities - 0.35 * said.targets, 0.01)
    return replace(said, probabilities=noisy / noisy.sum(1, keepdims=True))


def test_exclusive_labels_are_scored_by_the_most_probable():
    said = shares()
    got = evaluate_predictions(EXCLUSIVE, said, QUICK, valid=said)
    found, truth = said.probabilities.argmax(1), said.targets.argmax(1)
    assert got.headline == {
        "f1": pytest.approx(f1_score(truth, found, average="macro")),
        "unweighted_average_recall": pytest.approx(balanced_accuracy_score(truth, found)),
        "class_accuracy": pytest.approx(accuracy_score(truth, found)),
    }
    assert got.at_half is None
    assert got.tuned.thresholds == {}
    assert got.classes.macro_f1 == pytest.approx(got.tuned.scores.f1)
    ends = got.class_intervals.accuracy
    assert ends.low < got.classes.accuracy < ends.high
    assert got.coverage.points[0].accuracy == pytest.approx(got.classes.accuracy)
    assert got.coverage.own.coverage == (said.probabilities.max(1) >= 0.5).mean()
    assert got.calibration.decision.bins[0].clips == 0  # of three the most probable has a third
    assert got.temperature.before == got.calibration.decision
    json.dumps(asdict(got), allow_nan=False)


def test_exclusive_labels_on_clips_with_several_are_told():
    got = evaluate_predictions(EXCLUSIVE, shares(single=False), QUICK)
    assert (got.classes, got.coverage, got.class_intervals) == (None, None, None)
    assert set(got.headline) == {"f1"}
    assert "clips have not exactly one label" in got.notes[-1]


def test_the_tables_of_exclusive_labels(capsys):
    got = evaluate_predictions(EXCLUSIVE, shares(), QUICK)
    data = DataSummary("DATA", "manifest", "test", 60, "", [], [])
    console = Console(width=120, highlight=False)
    print_evaluation(Evaluation(data, QUICK, [got], None), console)
    shown = capsys.readouterr().out
    header = next(line for line in shown.splitlines() if "recall" in line)
    assert header.split() == ["one", "clips", "recall", "precision", "F1", "of", "F1"]
    assert "at 0.5" not in shown
    assert "above" not in shown
    assert f"accuracy {got.classes.accuracy:.3f} [" in shown
    assert "at its min_confidence 0.500:" in shown
    assert "accuracy of the surest clips" in shown
    other = replace(got, info=replace(got.info, name="two"))
    print_evaluation(Evaluation(data, QUICK, [got, other], None), console)
    beside = capsys.readouterr().out
    row = next(line for line in beside.splitlines() if line.startswith("class accuracy"))
    assert row.count(f"{got.classes.accuracy:.3f} [") == 2
    assert "Avg WA" not in beside


def test_runs_of_both_kinds_are_compared_by_the_figures_both_have():
    exclusive, independent = [], []
    for seed in (0, 1):
        info = replace(EXCLUSIVE, seed=seed, path=f"e{seed}")
        exclusive.append(evaluate_predictions(info, shares(), QUICK))
        info = replace(INFO, seed=seed, path=f"i{seed}")
        independent.append(evaluate_predictions(info, predictions(seed=seed), QUICK))
    names = {"f1", "unweighted_average_recall", "class_accuracy"}
    assert set(compare(exclusive, independent).figures) == names
    assert set(compare(independent, exclusive).figures) == names
