import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_edge.faces.align import TEMPLATE, align, similarity

angles = st.floats(-3.1, 3.1)
scales = st.floats(0.05, 20)
shifts = st.floats(-2000, 2000)


def moved(points: np.ndarray, angle: float, scale: float, x: float, y: float) -> np.ndarray:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points @ turn.T + (x, y)


def smooth_picture(height: int = 400, width: int = 500) -> np.ndarray:
    """A picture in which a place can be told by its colour: red is x, green is y."""
    y, x = np.mgrid[:height, :width]
    red, green = 255 * x / width, 255 * y / height
    return np.stack([red, green, np.full_like(red, 128)], axis=2).astype(np.uint8)


@given(angles, scales, shifts, shifts)
def test_a_known_similarity_is_recovered(angle, scale, x, y):
    points = moved(TEMPLATE, angle, scale, x, y)
    transform = similarity(points, TEMPLATE)
    back = points @ transform[:, :2].T + transform[:, 2]
    np.testing.assert_allclose(back, TEMPLATE, atol=1e-6)
    assert np.hypot(*transform[:, 0]) == pytest.approx(1 / scale)
    assert np.linalg.det(transform[:, :2]) > 0  # no mirror image


@settings(max_examples=25, deadline=None)
@given(st.floats(-0.6, 0.6), st.floats(0.5, 1.2), st.floats(-30, 30), st.floats(-30, 30))
def test_each_pixel_of_the_crop_comes_from_its_place_in_the_frame(angle, scale, x, y):
    frame = smooth_picture()
    centred = TEMPLATE - TEMPLATE.mean(axis=0)
    points = moved(centred, angle, scale, 250 + x, 200 + y)
    crop = align(frame, points)
    assert crop.shape == (224, 224, 3)
    inverse = cv2.invertAffineTransform(similarity(points, TEMPLATE))
    for column, row in ((112, 112), (80, 100), (150, 140)):
        from_x, from_y = inverse @ (column, row, 1)
        red, green, blue = crop[row, column].astype(float)
        assert red == pytest.approx(255 * from_x / 500, abs=2)
        assert green == pytest.approx(255 * from_y / 400, abs=2)
        assert blue == 128


def test_a_face_larger_than_the_crop_is_averaged_not_sampled():
    frame = np.zeros((2000, 2000, 3), np.uint8)
    frame[::2] = 255  # lines of one pixel: sampled they alias to black or white
    centred = TEMPLATE - TEMPLATE.mean(axis=0)
    crop = align(frame, moved(centred, 0.0, 6.0, 1000, 1000))
    assert crop.min() > 100
    assert crop.max() < 155


def test_beyond_the_frame_is_black():
    frame = np.full((224, 224, 3), 200, np.uint8)
    crop = align(frame, TEMPLATE + (100, 0))  # noqa: RUF005
    assert (crop[:, -100:] == 200).all() or (crop[:, :120] == 200).all()
    assert (crop[:, 130:] == 0).all()


@pytest.mark.parametrize(
    "points",
    [
        np.full((5, 2), 50.0),
        np.full((5, 2), np.nan),
        TEMPLATE * (-1, 1) + (224, 0),
        TEMPLATE + 10_000,
    ],
    ids=["one point", "nan", "mirrored", "far outside"],
)
def test_points_that_are_no_face_give_none(points):
    assert align(np.zeros((100, 100, 3), np.uint8), points) is None
