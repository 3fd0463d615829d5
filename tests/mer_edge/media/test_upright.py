"""Rotation, mirroring and pixel shape: the picture as a viewer sees it."""

from fractions import Fraction

import numpy as np
import pytest

from mer_edge.media.frames import VideoFrames
from mer_edge.media.scan import scan_media
from mer_edge.media.upright import square_pixel_size, turn
from tests.media_files import (
    QUADRANTS,
    ROTATIONS,
    Picture,
    quadrants,
    set_display_matrix,
    write_media,
)

CORNERS = {"top left": (0, 0), "top right": (0, 1), "bottom left": (1, 0)}


def corner_colours(pixels: np.ndarray) -> dict[str, np.ndarray]:
    height, width = pixels.shape[:2]
    return {
        name: pixels[int(height * (0.25 + 0.5 * row)), int(width * (0.25 + 0.5 * column))].astype(
            int
        )
        for name, (row, column) in CORNERS.items()
    }


def picture_of(path):
    frames = VideoFrames(path, scan_media(path))
    picture = frames.picture_at(0.5)
    frames.close()
    assert picture is not None
    return picture.pixels


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
def test_a_rotated_video_comes_out_upright(tmp_path, name, degrees):
    """The file holds the picture turned the other way, as a phone on its side records it."""

    def lying(number, time_s, size):
        upright = quadrants(number, time_s, (96, 128) if degrees != 180 else (128, 96))
        return np.rot90(upright, degrees // 90)

    path = write_media(tmp_path / name, Picture(size=(128, 96), draw=lying))
    set_display_matrix(path, *ROTATIONS[degrees])
    pixels = picture_of(path)
    assert pixels.shape == ((128, 96, 3) if degrees != 180 else (96, 128, 3))
    for name_, colour in corner_colours(pixels).items():
        assert np.abs(colour - QUADRANTS[name_]).max() < 25, name_


def test_a_mirrored_video_is_mirrored_back(tmp_path):
    def mirrored(number, time_s, size):
        return quadrants(number, time_s, size)[:, ::-1]

    path = write_media(tmp_path / "a.mp4", Picture(draw=mirrored))
    set_display_matrix(path, -1, 0, 0, 1)
    for name, colour in corner_colours(picture_of(path)).items():
        assert np.abs(colour - QUADRANTS[name]).max() < 25, name


def test_without_a_matrix_nothing_turns(tmp_path):
    pixels = picture_of(write_media(tmp_path / "a.mp4", Picture(draw=quadrants)))
    for name, colour in corner_colours(pixels).items():
        assert np.abs(colour - QUADRANTS[name]).max() < 25, name


@pytest.mark.parametrize("matrix", [(a, 0, 0, d) for a in (1, -1) for d in (1, -1)])
@pytest.mark.parametrize("swapped", [False, True])
def test_turn_follows_the_definition(matrix, swapped):
    """Pixel (x, y) goes to (a x + c y, b x + d y), up to a shift: all eight cases."""
    a, _, _, d = matrix
    b, c = 0, 0
    if swapped:
        a, b, c, d = 0, a, d, 0
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    turned = turn(pixels, 65536 * np.array([[a, b], [c, d]]))
    places = {(x, y): (a * x + c * y, b * x + d * y) for x in range(3) for y in range(2)}
    left, top = (min(place[i] for place in places.values()) for i in (0, 1))
    for (x, y), (to_x, to_y) in places.items():
        assert (turned[to_y - top, to_x - left] == pixels[y, x]).all()


@pytest.mark.parametrize(
    ("aspect", "size"),
    [(Fraction(16, 11), (233, 120)), (Fraction(1, 2), (160, 240)), (Fraction(1), (160, 120))],
)
def test_pixels_become_square(tmp_path, aspect, size):
    path = write_media(tmp_path / "a.mp4", Picture(draw=quadrants, pixel_aspect=aspect))
    pixels = picture_of(path)
    assert pixels.shape == (size[1], size[0], 3)
    for name, colour in corner_colours(pixels).items():
        assert np.abs(colour - QUADRANTS[name]).max() < 25, name


def test_an_absurd_pixel_shape_is_ignored():
    assert square_pixel_size(1920, 1080, 1000.0) == (1920, 1080)
    assert square_pixel_size(1920, 1080, 0.001) == (1920, 1080)
    assert square_pixel_size(720, 576, 64 / 45) == (1024, 576)
