"""A decoded frame as a viewer sees it: square pixels, upright, RGB."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_PIXEL_ASPECT = 4.0
"""Broadcast formats stay under 2.2; more than this is a damaged header, and is ignored."""


def upright_rgb(frame: Any, pixel_aspect: float = 1.0) -> NDArray[np.uint8]:
    """The frame as RGB uint8 of shape (height, width, 3), stretched to square pixels and turned.

    Args:
        frame: a video frame of PyAV's; its display matrix is applied.
        pixel_aspect: width / height of one stored pixel (the sample aspect ratio).
    """
    width, height = square_pixel_size(frame.width, frame.height, pixel_aspect)
    pixels: NDArray[np.uint8] = frame.to_ndarray(width=width, height=height, format="rgb24")
    matrix = display_matrix(frame)
    return pixels if matrix is None else turn(pixels, matrix)


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
    for data in frame.side_data:
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
