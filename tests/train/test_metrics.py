"""Metrics against scikit-learn, on random and degenerate decisions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from train.metrics import decide, score


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    clips=st.integers(1, 60),
    positive=st.floats(0, 1),
    found=st.floats(0, 1),
)
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
def test_equals_scikit_learn(seed, clips, positive, found):
    rng = np.random.default_rng(seed)
    labels = ["a", "b", "c"]
    truth = rng.random((clips, 3)) < positive
    predicted = rng.random((clips, 3)) < found
    scores = score(predicted, truth, labels)
    for i, label in enumerate(labels):
        got, t, p = scores.labels[label], truth[:, i], predicted[:, i]
        assert got.accuracy == pytest.approx(accuracy_score(t, p), abs=1e-12)
        assert got.f1 == pytest.approx(f1_score(t, p, zero_division=0), abs=1e-12)
        assert got.weighted_accuracy == pytest.approx(balanced_accuracy_score(t, p), abs=1e-12)
        assert (got.positives, got.clips) == (t.sum(), clips)
    assert scores.f1 == pytest.approx(
        f1_score(truth, predicted, average="macro", zero_division=0), abs=1e-12
    )


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


def test_a_threshold_itself_is_no_decision():
    assert decide(np.array([[0.5, 0.51]]), [0.5, 0.5]).tolist() == [[False, True]]
