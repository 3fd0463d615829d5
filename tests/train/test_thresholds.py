import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from train.thresholds import CANDIDATES, tune_thresholds


def test_candidates_are_nineteen_twentieths():
    assert CANDIDATES[0] == 0.05
    assert CANDIDATES[-1] == 0.95
    assert len(CANDIDATES) == 19
    assert np.diff(CANDIDATES) == pytest.approx(0.05)


def test_each_label_gets_its_own_best():
    probabilities = np.array([[0.12, 0.92], [0.13, 0.91], [0.06, 0.88], [0.02, 0.87]])
    truth = np.array([[1, 1], [1, 1], [0, 0], [0, 0]], bool)
    assert tune_thresholds(probabilities, truth) == [0.1, 0.9]


def test_of_equals_the_one_nearest_to_one_half():
    truth = np.array([[1], [0]], bool)
    assert tune_thresholds(np.array([[0.99], [0.01]]), truth) == [0.5]
    assert tune_thresholds(np.array([[0.99], [0.62]]), truth) == [0.65]
    assert tune_thresholds(np.array([[0.33], [0.01]]), truth) == [0.3]


def test_a_label_without_positives_keeps_one_half():
    assert tune_thresholds(np.array([[0.2], [0.9]]), np.zeros((2, 1), bool)) == [0.5]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), clips=st.integers(2, 30))
def test_no_candidate_is_better(seed, clips):
    rng = np.random.default_rng(seed)
    truth = rng.random((clips, 1)) < 0.4
    probabilities = np.clip(truth * 0.3 + rng.random((clips, 1)) * 0.7, 0, 1)
    (chosen,) = tune_thresholds(probabilities, truth)

    def f1(threshold: float) -> float:
        return f1_score(truth, probabilities > threshold, zero_division=0)

    assert f1(chosen) == pytest.approx(max(map(f1, CANDIDATES)), abs=1e-12)
