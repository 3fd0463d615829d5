"""A decoded frame as a viewer sees it: square pixels, upright, RGB."""

from __future__ import annotations

from typing import Any

import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

MAX_PIXEL_ASPECT = 4.0
"""Broadcast formats stay under 2.2; more than this is a damaged header, and is ignored."""
QUARTER_TURNS = {
    1: np.array([[0, -1], [1, 0]], np.int64),
    2: np.array([[-1, 0], [0, -1]], np.int64),
    3: np.array([[0, 1], [-1, 0]], np.int64),
}
"""Display matrices of quarter turns anticlockwise, as FFmpeg counts a rotation."""


class Upright:
    """Makes RGB pictures of one video's frames.

    One converter serves all frames: a new one per frame starts its own threads, which takes four
    times as long and leaves memory scattered.
    """

    def __init__(self, pixel_aspect: float = 1.0) -> None:
        """``pixel_aspect`` is width / height of one stored pixel (the sample aspect ratio)."""
        self._pixel_aspect = pixel_aspect
        self._converter = VideoReformatter()
        self._matrix: NDArray[np.int64] | None = None
        self._matrix_is_known = False

    def rgb(self, frame: Any) -> NDArray[np.uint8]:
        """The frame as RGB uint8 of shape (height, width, 3): square pixels, upright."""
        width, height = square_pixel_size(frame.width, frame.height, self._pixel_aspect)
        converted = self._converter.reformat(frame, width, height, "rgb24")
        pixels: NDArray[Any] = converted.to_ndarray()
        if not self._matrix_is_known:
            # Once: it is the stream's, and PyAV's side data keep their frame alive in a cycle.
            self._matrix, self._matrix_is_known = display_matrix(frame), True
        return pixels if self._matrix is None else turn(pixels, self._matrix)


def square_pixel_size(width: int, height: int, pixel_aspect: float) -> tuple[int, int]:
    """The size with square pixels; the shorter side is stretched, so that nothing is lost."""
    if not 1 / MAX_PIXEL_ASPECT <= pixel_aspect <= MAX_PIXEL_ASPECT:
        return width, height
    if pixel_aspect >= 1:
        return round(width * pixel_aspect), height
    return width, round(height / pixel_aspect)


def display_matrix(frame: Any) -> NDArray[np.int64] | None:
    """The 2 x 2 part of the frame's display matrix [[a, b], [c, d]], or None without one.

    A pixel at (x, y), y down, is shown at (a x + c y, b x + d y) (ISO 14496-12, track header).
    """
    try:
        side_data = list(frame.side_data)
    except ValueError:
        # Data of a kind that PyAV does not know, as Exif: it then tells the rotation alone.
        return QUARTER_TURNS.get(round(frame.rotation / 90) % 4)
    for data in side_data:
        if data.type.name == "DISPLAYMATRIX":
            values = np.frombuffer(bytes(data), dtype=np.int32).astype(np.int64)
            return values[[0, 1, 3, 4]].reshape(2, 2)
    return None


def turn(pixels: NDArray[np.uint8], matrix: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Apply a display matrix: quarter turns and mirrorings, the nearest one to the matrix.

    ``pixels`` has the shape (height, width, 3); a quarter turn swaps height and width.
    """
    (a, b), (c, d) = matrix
    if abs(a) + abs(d) >= abs(b) + abs(c):
        mirror_x, mirror_y = a < 0, d < 0
    else:
        pixels = pixels.swapaxes(0, 1)
        mirror_x, mirror_y = c < 0, b < 0
    pixels = pixels[:: -1 if mirror_y else 1, :: -1 if mirror_x else 1]
    return np.ascontiguousarray(pixels)
