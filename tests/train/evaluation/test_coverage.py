"""Coverage and accuracy on clips that can be counted by hand."""

import numpy as np
import pytest

from train.evaluation.coverage import coverage_of

CONFIDENCE = np.array([0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.58, 0.55])
RIGHT = np.array([1, 1, 1, 1, 1, 0, 1, 1, 0, 0], bool)
PROBABILITIES = np.stack([CONFIDENCE, 1 - CONFIDENCE], axis=1)
TARGETS = np.stack([RIGHT, ~RIGHT], axis=1)


def test_the_surest_clips_are_decided():
    got = coverage_of(PROBABILITIES, TARGETS, None)
    assert got.own is None
    assert [point.coverage for point in got.points] == pytest.approx([1, 0.9, 0.8, 0.7, 0.6, 0.5])
    accuracies = [point.accuracy for point in got.points]
    assert accuracies == pytest.approx([7 / 10, 7 / 9, 7 / 8, 6 / 7, 5 / 6, 1.0])
    assert got.points[2].min_confidence == 0.6


def test_at_its_own_confidence():
    own = coverage_of(PROBABILITIES, TARGETS, 0.7).own
    assert (own.min_confidence, own.coverage) == (0.7, pytest.approx(0.6))
    assert own.accuracy == pytest.approx(5 / 6)  # 0.7 itself is decided
    nothing = coverage_of(PROBABILITIES, TARGETS, 0.99).own
    assert (nothing.coverage, nothing.accuracy) == (0.0, None)


def test_a_single_clip_has_every_point():
    got = coverage_of(PROBABILITIES[:1], TARGETS[:1], None)
    assert [point.accuracy for point in got.points] == [1.0] * 6
