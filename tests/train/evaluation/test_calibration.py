import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from mer_edge.errors import MerEdgeError
from train.evaluation.calibration import (
    calibration,
    fit_temperature,
    reliability,
    scale,
    temperature_scaling,
)


def drawn(clips: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Truth drawn from true probabilities, and what a model too certain by ``temperature`` says."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (clips, 2))
    return expit(logits * temperature), rng.random(logits.shape) < expit(logits)


def test_equals_scikit_learn():
    probabilities, truth = drawn(500, 2.0)
    got = reliability(probabilities[:, 0], truth[:, 0])
    assert got.brier == pytest.approx(brier_score_loss(truth[:, 0], probabilities[:, 0]))
    assert got.negative_log_likelihood == pytest.approx(log_loss(truth[:, 0], probabilities[:, 0]))
    shares, means = calibration_curve(truth[:, 0], probabilities[:, 0], n_bins=10)
    filled = [part for part in got.bins if part.clips]
    assert [part.positive_share for part in filled] == pytest.approx(shares)
    assert [part.mean_probability for part in filled] == pytest.approx(means)
    assert sum(part.clips for part in got.bins) == 500


def test_error_by_hand():
    """Two clips at 0.8 of which one is positive, two at 0.1 of which none is."""
    got = reliability(np.array([0.8, 0.8, 0.1, 0.1]), np.array([True, False, False, False]))
    assert got.expected_calibration_error == pytest.approx((2 * 0.3 + 2 * 0.1) / 4)
    assert got.brier == pytest.approx((0.04 + 0.64 + 0.01 + 0.01) / 4)
    assert got.bins[0].mean_probability is None  # not NaN: it goes into JSON


def test_certain_and_wrong_is_finite_and_one_is_in_the_last_bin():
    got = reliability(np.array([1.0, 0.0]), np.array([False, True]))
    assert got.expected_calibration_error == 1.0
    assert got.negative_log_likelihood == pytest.approx(-np.log(1e-12))
    assert (got.bins[0].clips, got.bins[-1].clips) == (1, 1)


def test_labels_are_taken_alone_and_together():
    probabilities, truth = drawn(50, 1.0)
    got = calibration(probabilities, truth, ["a", "b"])
    assert got.labels["b"] == reliability(probabilities[:, 1], truth[:, 1])
    assert got.overall.brier == pytest.approx(np.mean([s.brier for s in got.labels.values()]))


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 2.5])
def test_finds_the_temperature_that_the_data_were_made_with(true_temperature):
    assert fit_temperature(*drawn(20_000, true_temperature)) == pytest.approx(
        true_temperature, rel=0.05
    )


def test_scaling_fits_one_split_and_mends_the_other():
    valid, test = drawn(4000, 3.0, seed=1), drawn(4000, 3.0, seed=2)
    got = temperature_scaling(valid, test)
    assert got.valid_clips == 4000
    before, after = got.before, got.after
    assert after.expected_calibration_error < 0.03 < 0.1 < before.expected_calibration_error
    assert after.negative_log_likelihood < before.negative_log_likelihood


def test_scaling_leaves_one_half_and_the_order():
    probabilities = np.array([0.01, 0.5, 0.7, 0.99])
    scaled = scale(probabilities, 2.0)
    assert scaled[1] == pytest.approx(0.5, abs=1e-15)
    assert (np.diff(scaled) > 0).all()
    assert scale(probabilities, 1.0) == pytest.approx(probabilities, abs=1e-12)


def test_no_validation_clip_is_refused():
    with pytest.raises(MerEdgeError, match="no clip of the split 'valid'"):
        fit_temperature(np.zeros((0, 2)), np.zeros((0, 2), bool))


def drawn_classes(clips: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """As ``drawn``, of five exclusive labels."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (clips, 5))
    chances = softmax(logits, axis=1)
    classes = (rng.random((clips, 1)) > chances.cumsum(1)).sum(1).clip(max=4)
    return softmax(logits * temperature, axis=1), np.eye(5, dtype=bool)[classes]


@pytest.mark.parametrize("true_temperature", [0.5, 2.5])
def test_finds_the_temperature_of_exclusive_labels(true_temperature):
    found = fit_temperature(*drawn_classes(20_000, true_temperature), "multiclass")
    assert found == pytest.approx(true_temperature, rel=0.05)


def test_scaling_exclusive_labels_mends_how_sure_the_decision_is():
    valid, test = drawn_classes(4000, 3.0, seed=1), drawn_classes(4000, 3.0, seed=2)
    got = temperature_scaling(valid, test, "multiclass")
    before, after = got.before, got.after
    assert after.expected_calibration_error < 0.03 < 0.1 < before.expected_calibration_error
    scaled = scale(test[0], got.temperature, "multiclass")
    assert scaled.sum(1) == pytest.approx(1.0)
    assert (scaled.argmax(1) == test[0].argmax(1)).all()
    assert scale(test[0], 1.0, "multiclass") == pytest.approx(test[0], abs=1e-9)


def test_the_error_of_a_decision_by_hand():
    """Two clips at 0.8 of which one is right, two at 0.6 of which none is."""
    probabilities = np.array([[0.8, 0.2], [0.2, 0.8], [0.6, 0.4], [0.4, 0.6]])
    truth = np.array([[1, 0], [1, 0], [0, 1], [1, 0]], bool)
    got = calibration(probabilities, truth, ["a", "b"], "multiclass")
    assert got.decision.expected_calibration_error == pytest.approx((2 * 0.3 + 2 * 0.6) / 4)
    assert calibration(probabilities, truth, ["a", "b"]).decision is None
    both = np.ones((4, 2), bool)
    assert calibration(probabilities, both, ["a", "b"], "multiclass").decision is None
