import numpy as np
import pytest

from mer_edge.errors import MerEdgeError
from train.evaluation.intervals import Bootstrap, class_intervals, score_intervals
from train.metrics import score, score_classes


def decisions(clips: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.random((clips, 2)) < (0.5, 0.2)
    return np.where(rng.random(truth.shape) < 0.8, truth, ~truth), truth


def test_are_the_percentiles_of_scores_over_clips_drawn_anew():
    predicted, truth = decisions(60)
    got = score_intervals(predicted, truth, ["a", "b"], Bootstrap(2000, 0.9, seed=3))
    rng = np.random.default_rng(11)
    drawn = [rng.integers(60, size=60) for _ in range(2000)]
    scores = [score(predicted[i], truth[i], ["a", "b"]) for i in drawn]
    for interval, values in (
        (got.accuracy, [s.accuracy for s in scores]),
        (got.weighted_accuracy, [s.weighted_accuracy for s in scores]),
        (got.f1, [s.f1 for s in scores]),
        (got.label_f1["b"], [s.labels["b"].f1 for s in scores]),
    ):
        # Two independent sets of 2000 draws: their 5 % points differ by their own noise.
        assert (interval.low, interval.high) == pytest.approx(
            np.quantile(values, (0.05, 0.95)), abs=0.02
        )


def test_hold_the_true_score_as_often_as_they_say():
    """Accuracy of a decision right in 80 % of cases: in about 90 of 100 data sets."""
    held = 0
    for seed in range(100):
        predicted, truth = decisions(80, seed)
        interval = score_intervals(
            predicted, truth, ["a", "b"], Bootstrap(200, 0.9, seed=seed)
        ).accuracy
        held += interval.low <= 0.8 <= interval.high
    assert 80 <= held <= 97


def test_the_same_seed_gives_the_same_interval():
    predicted, truth = decisions(30)
    first, again, other = (
        score_intervals(predicted, truth, ["a", "b"], Bootstrap(200, seed=seed))
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("value", [False, True])
def test_one_sided_truth_gives_numbers(value):
    predicted, _ = decisions(20)
    got = score_intervals(predicted, np.full((20, 2), value), ["a", "b"], Bootstrap(200))
    for interval in (got.accuracy, got.weighted_accuracy, got.f1, *got.label_f1.values()):
        assert 0 <= interval.low <= interval.high <= 1


def test_one_clip_is_a_point():
    got = score_intervals(np.array([[True]]), np.array([[True]]), ["a"])
    assert (got.f1.low, got.f1.high) == (1.0, 1.0)


def test_refuses_what_gives_no_interval():
    with pytest.raises(MerEdgeError, match="20 resamples; expected at least 100"):
        Bootstrap(resamples=20)
    with pytest.raises(MerEdgeError, match="a confidence of 95; expected more than 0 and less"):
        Bootstrap(confidence=95)


def test_class_intervals_are_the_percentiles_of_accuracy_and_recall():
    rng = np.random.default_rng(5)
    truth = np.eye(3, dtype=bool)[rng.choice(3, 60, p=(0.6, 0.35, 0.05))]
    probabilities = rng.dirichlet((1, 1, 1), 60) + 0.5 * truth
    got = class_intervals(probabilities, truth, Bootstrap(2000, 0.9, seed=3))
    drawn = [np.random.default_rng(11 + i).integers(60, size=60) for i in range(2000)]
    scores = [score_classes(probabilities[i], truth[i]) for i in drawn]
    for interval, values in (
        (got.accuracy, [s.accuracy for s in scores]),
        (got.unweighted_average_recall, [s.unweighted_average_recall for s in scores]),
    ):
        # Accuracy moves in steps of 1/60, and a recall of three clips in large ones.
        assert (interval.low, interval.high) == pytest.approx(
            np.quantile(values, (0.05, 0.95)), abs=0.025
        )


def test_the_class_interval_of_one_clip_is_a_point():
    got = class_intervals(np.array([[0.7, 0.3]]), np.array([[True, False]]))
    assert (got.accuracy.low, got.accuracy.high) == (1.0, 1.0)
    assert got.unweighted_average_recall.low == 1.0
