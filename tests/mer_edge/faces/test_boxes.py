import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_edge.faces.boxes import overlap, patches, squares, suppress


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_overlap_by_hand():
    one, other = boxes((0, 0, 10, 10)), boxes((5, 0, 15, 10), (2, 2, 4, 4), (20, 0, 30, 10))
    np.testing.assert_allclose(overlap(one, other), [[50 / 150, 4 / 100, 0]])
    np.testing.assert_allclose(overlap(one, other, "smaller"), [[0.5, 1, 0]])
    assert overlap(boxes((1, 1, 1, 1)), boxes((1, 1, 1, 1)))[0, 0] == 0


def test_suppression_keeps_the_surest_of_a_heap():
    rows = boxes((0, 0, 10, 10), (1, 0, 11, 10), (50, 50, 60, 60), (0, 1, 10, 11))
    scores = np.array([0.8, 0.9, 0.5, 0.7], np.float32)
    assert suppress(rows, scores, 0.5).tolist() == [1, 2]
    assert suppress(rows, scores, 0.99).tolist() == [1, 0, 3, 2]
    assert suppress(boxes(), np.zeros(0, np.float32), 0.5).tolist() == []


def test_what_is_suppressed_suppresses_nothing():
    rows = boxes((0, 0, 10, 10), (3, 0, 13, 10), (6, 0, 16, 10))
    assert suppress(rows, np.array([0.9, 0.8, 0.7], np.float32), 0.4).tolist() == [0, 2]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 40), st.integers(0, 1000))
def test_suppression_leaves_no_pair_that_overlaps(count, seed):
    random = np.random.default_rng(seed)
    corner = random.uniform(0, 50, (count, 2))
    rows = np.concatenate([corner, corner + random.uniform(5, 30, (count, 2))], 1)
    rows = rows.astype(np.float32)
    scores = random.random(count).astype(np.float32)
    keep = suppress(rows, scores, 0.4)
    shared = overlap(rows[keep], rows[keep]) - np.eye(len(keep))
    assert (shared <= 0.4 + 1e-6).all()
    assert (np.diff(scores[keep]) <= 0).all()


def test_squares_keep_the_centre():
    np.testing.assert_allclose(squares(boxes((0, 0, 10, 20))), [[-5, 0, 15, 20]])


@pytest.mark.parametrize("box", [(-5, -5, 5, 5), (15, 15, 25, 25), (100, 100, 110, 110)])
def test_patches_are_black_beyond_the_picture(box):
    picture = np.full((20, 20, 3), 100, np.uint8)
    patch = patches(picture, boxes(box), 10)[0]
    assert patch.shape == (10, 10, 3)
    inside = max(0, min(box[2], 20) - max(box[0], 0)) * max(0, min(box[3], 20) - max(box[1], 0))
    assert (patch == 100).all(axis=2).sum() == inside
