"""Metrics against scikit-learn, on random and degenerate decisions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    multilabel_confusion_matrix,
)

from train.metrics import Counts, decide, score, score_classes

CHANCES = st.one_of(st.just(0.0), st.just(1.0), st.floats(0, 1))
"""How many are positive: none, all, or some."""


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    clips=st.integers(1, 60),
    positive=st.lists(CHANCES, min_size=1, max_size=4),
    found=CHANCES,
)
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
def test_equals_scikit_learn(seed, clips, positive, found):
    rng = np.random.default_rng(seed)
    labels = [f"label {i}" for i in range(len(positive))]
    truth = rng.random((clips, len(labels))) < np.array(positive)
    predicted = rng.random((clips, len(labels))) < found
    scores = score(predicted, truth, labels)
    wanted = []
    for i, label in enumerate(labels):
        got, t, p = scores.labels[label], truth[:, i], predicted[:, i]
        wanted.append(
            (accuracy_score(t, p), balanced_accuracy_score(t, p), f1_score(t, p, zero_division=0))
        )
        three = (got.accuracy, got.weighted_accuracy, got.f1)
        assert three == pytest.approx(wanted[-1], rel=0, abs=1e-12)
        assert (got.positives, got.clips) == (t.sum(), clips)
    averages = (scores.accuracy, scores.weighted_accuracy, scores.f1)
    assert averages == pytest.approx(np.mean(wanted, axis=0), rel=0, abs=1e-12)


def test_counts_equal_scikit_learn_and_sum_over_any_leading_shape():
    rng = np.random.default_rng(4)
    predicted, truth = rng.random((2, 3, 20, 4)) < 0.4
    counts = Counts.of(predicted, truth)
    for row in range(3):
        matrices = multilabel_confusion_matrix(truth[row], predicted[row])
        assert np.array_equal(counts.true_negatives[row], matrices[:, 0, 0])
        assert np.array_equal(counts.false_positives[row], matrices[:, 0, 1])
        assert np.array_equal(counts.false_negatives[row], matrices[:, 1, 0])
        assert np.array_equal(counts.true_positives[row], matrices[:, 1, 1])


def test_follows_the_formulas_by_hand():
    truth = np.array([[1], [1], [1], [0], [0]], bool)
    predicted = np.array([[1], [1], [0], [1], [0]], bool)
    got = score(predicted, truth, ["a"]).labels["a"]
    assert got.accuracy == 3 / 5
    assert got.f1 == 4 / 6
    # (TP * N / P + TN) / (2 N) with TP 2, P 3, TN 1, N 2
    assert got.weighted_accuracy == pytest.approx((2 * 2 / 3 + 1) / 4, abs=1e-15)


@pytest.mark.parametrize(
    ("truth", "predicted", "expected"),
    [
        ([0, 0, 0], [0, 0, 0], (1.0, 1.0, 0.0)),
        ([0, 0, 0], [1, 0, 0], (2 / 3, 2 / 3, 0.0)),
        ([1, 1, 1], [1, 1, 1], (1.0, 1.0, 1.0)),
        ([1, 1, 1], [0, 0, 1], (1 / 3, 1 / 3, 0.5)),
        ([1, 0, 0], [0, 0, 0], (2 / 3, 0.5, 0.0)),
    ],
)
def test_one_sided_truth_has_numbers_and_no_nan(truth, predicted, expected):
    got = score(np.array([predicted], bool).T, np.array([truth], bool).T, ["a"]).labels["a"]
    assert (got.accuracy, got.weighted_accuracy, got.f1) == pytest.approx(expected, abs=1e-12)


def test_refuses_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="predictions"):
        score(np.zeros((3, 2), bool), np.zeros((2, 2), bool), ["a", "b"])
    with pytest.raises(ValueError, match="no clip"):
        score(np.zeros((0, 1), bool), np.zeros((0, 1), bool), ["a"])
    with pytest.raises(ValueError, match="labels=\\[\\]"):
        score(np.zeros((1, 0), bool), np.zeros((1, 0), bool), [])


def test_a_threshold_itself_is_no_decision():
    assert decide(np.array([[0.5, 0.51]]), [0.5, 0.5]).tolist() == [[False, True]]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), clips=st.integers(1, 40), classes=st.integers(1, 5))
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
def test_class_scores_equal_scikit_learn(seed, clips, classes):
    rng = np.random.default_rng(seed)
    truth = rng.integers(classes, size=clips)
    probabilities = rng.random((clips, classes))
    got = score_classes(probabilities, np.eye(classes, dtype=bool)[truth])
    found = probabilities.argmax(axis=1)
    assert got.accuracy == pytest.approx(accuracy_score(truth, found), abs=1e-12)
    assert got.unweighted_average_recall == pytest.approx(
        balanced_accuracy_score(truth, found), abs=1e-12
    )
    assert got.weighted_f1 == pytest.approx(
        f1_score(truth, found, average="weighted", zero_division=0), abs=1e-12
    )
    assert got.macro_f1 == pytest.approx(
        f1_score(truth, found, labels=range(classes), average="macro", zero_division=0), abs=1e-12
    )
    matrix = np.array(got.confusion)
    assert matrix.sum(axis=1).tolist() == np.bincount(truth, minlength=classes).tolist()
    assert np.trace(matrix) == (truth == found).sum()


def test_class_scores_by_hand():
    truth = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0]], bool)
    probabilities = np.array([[0.9, 0.1, 0], [0.4, 0.3, 0.1], [0.2, 0.6, 0], [0.1, 0.2, 0.1]])
    got = score_classes(probabilities, truth)
    assert got.accuracy == 3 / 4
    assert got.unweighted_average_recall == pytest.approx((2 / 3 + 1) / 2)  # no clip of the third
    assert got.weighted_f1 == pytest.approx((3 * 0.8 + 1 * 2 / 3) / 4)
    assert got.macro_f1 == pytest.approx((0.8 + 2 / 3 + 0) / 3)
    assert got.confusion == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize("truth", [[[1, 1], [0, 1]], [[0, 0], [0, 1]]])
def test_class_scores_want_exactly_one_label_a_clip(truth):
    assert score_classes(np.full((2, 2), 0.5), np.array(truth, bool)) is None
