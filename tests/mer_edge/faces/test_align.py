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


@settings(deadline=None)
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


def with_dots(points: np.ndarray, radius: float, size: int) -> np.ndarray:
    """A picture with a soft white dot at each point, drawn from the formula: no resampling."""
    y, x = np.mgrid[:size, :size].astype(np.float64)
    squares = [(x - px) ** 2 + (y - py) ** 2 for px, py in points]
    light = sum(np.exp(-square / (2 * radius**2)) for square in squares)
    return np.repeat(np.round(255 * np.clip(light, 0, 1))[..., None], 3, axis=2).astype(np.uint8)


def middle_of_light(crop: np.ndarray, near: np.ndarray, reach: int = 12) -> np.ndarray:
    column, row = np.round(near).astype(int)
    part = crop[row - reach : row + reach + 1, column - reach : column + reach + 1, 0].astype(float)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.array([(part * x).sum(), (part * y).sum()]) / part.sum() + (column, row)


@settings(max_examples=20, deadline=None)
@given(angles, st.floats(0.5, 4), st.floats(-20, 20), st.floats(-20, 20))
def test_the_five_points_come_to_lie_on_the_template(angle, scale, x, y):
    """Within a fifth of a pixel, be the face smaller than the crop or four times as large."""
    size = 800
    centred = TEMPLATE - TEMPLATE.mean(axis=0)
    points = moved(centred, angle, scale, size / 2 + x, size / 2 + y)
    crop = align(with_dots(points, 3 * scale, size), points)
    for place in TEMPLATE:
        assert np.abs(middle_of_light(crop, place) - place).max() < 0.2


@settings(max_examples=15, deadline=None)
@given(angles, st.floats(0.7, 2.5), st.floats(-20, 20), st.floats(-20, 20))
def test_a_turned_frame_gives_the_same_crop(angle, scale, x, y):
    """Equivariance: turning, scaling and moving the frame and its points changes nothing."""
    size = 700
    noise = np.random.default_rng(0).integers(0, 256, (14, 14, 3)).astype(np.uint8)
    frame = cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    points = moved(TEMPLATE - TEMPLATE.mean(axis=0), 0.2, 1.3, 340, 360)
    turned_points = moved(points - 350, angle, scale, 350 + x, 350 + y)
    turn = similarity(points, turned_points)
    turned = cv2.warpAffine(frame, turn, (size, size), flags=cv2.INTER_CUBIC)
    seen = cv2.warpAffine(np.ones((size, size), np.uint8), turn, (size, size))
    inside = align(np.repeat(seen[..., None] * 255, 3, axis=2), turned_points) == 255
    crop, turned_crop = align(frame, points), align(turned, turned_points)
    difference = np.abs(crop.astype(int) - turned_crop)[inside]
    assert inside.mean() > 0.3
    assert difference.mean() < 1.5


def test_brows_mouth_and_chin_are_inside_the_crop():
    """Of an average adult face: brow to eyes about 0.35 and mouth to chin about 0.75 times the
    distance from eyes to mouth."""
    eyes, mouth = TEMPLATE[:2, 1].mean(), TEMPLATE[3:, 1].mean()
    assert eyes - 0.35 * (mouth - eyes) > 0.2 * 224
    assert mouth + 0.75 * (mouth - eyes) < 0.95 * 224


def test_a_face_larger_than_the_crop_is_averaged_not_sampled():
    """Each pixel of the crop stands for 6 x 6 of the frame: noise of 74 averages to about 12."""
    noise = np.random.default_rng(0).integers(0, 256, (2000, 2000)).astype(np.uint8)
    centred = TEMPLATE - TEMPLATE.mean(axis=0)
    crop = align(np.repeat(noise[..., None], 3, axis=2), moved(centred, 0.0, 6.0, 1000, 1000))
    assert crop.mean() == pytest.approx(127.5, abs=2)
    assert crop.std() < 15


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
