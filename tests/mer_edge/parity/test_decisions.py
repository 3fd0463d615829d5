"""Decisions against decisions, on numbers that can be counted by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_edge.decision import DecisionRule, probabilities_of
from mer_edge.parity.decisions import compare_decisions
from mer_edge.parity.limits import LIMITS, loosest

HALF = DecisionRule("multilabel", (0.5, 0.5))


def logits(*rows):
    """Logits of probabilities."""
    p = np.array(rows)
    return np.log(p / (1 - p))


REFERENCE = logits([0.9, 0.1], [0.51, 0.2], [0.495, 0.7])
ACTUAL = logits([0.9, 0.1], [0.49, 0.2], [0.505, 0.3])
NAMES = ["a", "b", "c"]


def test_every_decision_on_a_real_clip_counts():
    found = compare_decisions("chain", "real", NAMES, (REFERENCE, ACTUAL), HALF, LIMITS["fp16"])
    assert (found.clips, found.decisions) == (3, 6)
    assert found.agreement == pytest.approx(3 / 6)  # b's first, and both of c
    assert found.clip_agreement == pytest.approx(1 / 3)
    assert found.max_probability_change == pytest.approx(0.4)
    assert found.mean_probability_change == pytest.approx((0.02 + 0.01 + 0.4) / 6)
    assert found.worst == "c, label 1"


def test_what_is_near_its_threshold_is_no_evidence_on_random_clips():
    found = compare_decisions("chain", "random", NAMES, (REFERENCE, ACTUAL), HALF, LIMITS["fp16"])
    assert found.decisions == 4  # 0.51 and 0.495 are within 0.02 of 0.5
    assert found.agreement == pytest.approx(3 / 4)
    assert found.clip_agreement == pytest.approx(2 / 3)


def test_a_network_that_has_learned_nothing_has_no_decisions_to_agree_on():
    near = logits([0.5, 0.5], [0.501, 0.499])
    found = compare_decisions("chain", "random", ["a", "b"], (near, near), HALF, LIMITS["int8"])
    assert (found.decisions, found.agreement, found.clip_agreement) == (0, None, None)
    assert found.max_probability_change == 0


def test_a_decision_is_strictly_above_its_threshold():
    at, above = np.array([[0.0]]), np.array([[1e-9]])
    threshold = DecisionRule("multilabel", (0.5,))
    found = compare_decisions("chain", "real", ["a"], (at, above), threshold, LIMITS["fp32"])
    assert found.agreement == 0


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_probabilities_are_in_their_range_and_ordered(values):
    found = probabilities_of(np.sort(np.array(values)))
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found) >= 0).all()


def test_the_loosest_precision_rules():
    assert loosest(["fp32", "fp32"]) == "fp32"
    assert loosest(["fp16", "fp32", "int8"]) == "int8"
    assert loosest(["fp32", "fp16"]) == "fp16"


EXCLUSIVE = DecisionRule("multiclass")
SHARES = np.log([[0.6, 0.3, 0.1], [0.41, 0.40, 0.19], [0.2, 0.45, 0.35]])
MOVED = np.log([[0.5, 0.3, 0.2], [0.40, 0.41, 0.19], [0.2, 0.35, 0.45]])


def test_exclusive_labels_are_one_decision_a_clip():
    found = compare_decisions("chain", "real", NAMES, (SHARES, MOVED), EXCLUSIVE, LIMITS["fp16"])
    assert (found.clips, found.decisions) == (3, 3)
    assert found.agreement == found.clip_agreement == pytest.approx(1 / 3)
    assert found.max_probability_change == pytest.approx(0.1)
    assert found.mean_probability_change == pytest.approx((0.2 + 0.02 + 0.2) / 9)
    same = compare_decisions("chain", "real", NAMES, (SHARES, SHARES), EXCLUSIVE, LIMITS["fp16"])
    assert same.agreement == 1.0


def test_near_ties_of_exclusive_labels_do_not_count_on_random_clips():
    found = compare_decisions("chain", "random", NAMES, (SHARES, MOVED), EXCLUSIVE, LIMITS["fp16"])
    assert found.decisions == 2  # 0.41 and 0.40 are within twice 0.02
    assert found.agreement == pytest.approx(1 / 2)
    ties = np.log([[0.5, 0.5, 0.0 + 1e-9]])
    tied = compare_decisions("chain", "random", ["a"], (ties, ties), EXCLUSIVE, LIMITS["fp32"])
    assert (tied.decisions, tied.agreement) == (0, None)


def test_a_temperature_scales_the_change_and_not_the_decision():
    warm = DecisionRule("multiclass", temperature=3.0)
    limits = LIMITS["fp16"]
    found = compare_decisions("chain", "real", NAMES, (3 * SHARES, 3 * MOVED), warm, limits)
    assert found.max_probability_change == pytest.approx(0.1)
    assert found.agreement == pytest.approx(1 / 3)


def test_in_eight_bits_one_of_few_exclusive_decisions_may_turn():
    rows = np.log(np.tile([0.6, 0.3, 0.1], (11, 1)))
    turned = rows.copy()
    turned[4] = np.log([0.42, 0.48, 0.1])  # the mean change is 0.36 / 33 = 0.011
    names = list("abcdefghijk")
    one = compare_decisions("chain", "golden", names, (rows, turned), EXCLUSIVE, LIMITS["int8"])
    assert one.agreement == pytest.approx(10 / 11)
    assert one.share_of_limit == pytest.approx(1.0)
    turned[5] = np.log([0.44, 0.46, 0.1])
    two = compare_decisions("chain", "golden", names, (rows, turned), EXCLUSIVE, LIMITS["int8"])
    assert two.share_of_limit == pytest.approx(2.0)
    fp32 = compare_decisions("chain", "golden", names, (rows, turned), EXCLUSIVE, LIMITS["fp32"])
    assert fp32.share_of_limit > 30
    small = np.log([[0.38, 0.35, 0.27]])  # 0.03 ahead; three labels may move by 0.045 together
    near = compare_decisions("chain", "golden", ["a"], (small, small), EXCLUSIVE, LIMITS["int8"])
    assert near.decisions == 0
