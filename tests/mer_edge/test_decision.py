"""Logits to probabilities to decisions: independent labels and exclusive ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np
from scipy.special import expit, softmax

from mer_edge.decision import (
    DecisionRule,
    Temperatures,
    check_min_confidence,
    decision_fault,
    probabilities_of,
)
from mer_edge.errors import MerEdgeError

LOGITS = np.array([[2.0, -1.0, 0.5], [-3.0, -3.0, -3.0]], np.float32)
FINITE = st_np.arrays(np.float32, (2, 4), elements=st.floats(-(2.0**99), 2.0**99, width=32))


def test_probabilities_are_scipys():
    np.testing.assert_allclose(probabilities_of(LOGITS), expit(LOGITS.astype(float)), rtol=1e-12)
    np.testing.assert_allclose(
        probabilities_of(LOGITS, "multiclass", 2.0), softmax(LOGITS / 2.0, axis=-1), rtol=1e-6
    )


@given(FINITE)
def test_a_softmax_adds_up_to_one_whatever_the_logits(logits):
    found = probabilities_of(logits, "multiclass")
    assert np.isfinite(found).all()
    assert found.sum(-1) == pytest.approx(1.0, abs=1e-12)


def test_a_temperature_changes_how_sure_and_not_what():
    rule, hot = DecisionRule("multiclass"), DecisionRule("multiclass", temperature=4.0)
    sure, unsure = rule.probabilities(LOGITS)[0], hot.probabilities(LOGITS)[0]
    assert sure.max() == pytest.approx(0.7856, abs=1e-3)
    assert unsure.max() == pytest.approx(0.463, abs=1e-3)
    assert sure.argmax() == unsure.argmax() == 0
    assert np.array_equal(rule.decide(sure), hot.decide(unsure))


def test_exclusive_labels_give_one_decision_and_of_equals_the_first():
    decided = DecisionRule("multiclass").decide(LOGITS)
    assert decided.tolist() == [[True, False, False], [True, False, False]]
    assert DecisionRule("multiclass").decide(LOGITS[0]).tolist() == [True, False, False]


def test_independent_labels_are_decided_above_their_thresholds():
    rule = DecisionRule("multilabel", (0.5, 0.25))
    assert rule.decide(np.array([[0.5, 0.26], [0.9, 0.1]])).tolist() == [
        [False, True],
        [True, False],
    ]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ((2, "ranking", [], Temperatures(), None), "task is 'ranking'"),
        ((2, "multilabel", [0.5], Temperatures(), None), "1 thresholds for 2 labels"),
        ((2, "multilabel", [0.5, 2], Temperatures(), None), "probabilities in"),
        ((2, "multiclass", [0.5, 0.5], Temperatures(), None), "2 thresholds of exclusive labels"),
        ((2, "multiclass", [], Temperatures(text=0.0), None), "the temperature text is 0.0"),
        ((2, "multiclass", [], Temperatures(fused=float("nan")), None), "temperature fused is nan"),
        ((2, "multiclass", [], Temperatures(), 1.5), "min_confidence is 1.5"),
        ((2, "multilabel", [0.5, 0.5], Temperatures(), 0.5), "of independent labels"),
        ((2, "multilabel", [0.5, 0.5], Temperatures(), None), ""),
        ((2, "multiclass", [], Temperatures(2, 2, 2, 2), 0.0), ""),
    ],
)
def test_what_cannot_be_is_named(given, found):
    fault = decision_fault(*given)
    assert found in fault if found else fault == ""


def test_a_users_min_confidence():
    assert check_min_confidence(0.4, "multiclass") == 0.4
    assert check_min_confidence(0.0, "multiclass") is None
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(MerEdgeError, match="expected a probability from 0"):
            check_min_confidence(wrong, "multiclass")
    with pytest.raises(MerEdgeError, match="independent of each other"):
        check_min_confidence(0.4, "multilabel")
