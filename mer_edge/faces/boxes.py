"""Boxes as arrays: overlap, non-maximum suppression, squares, patches.

A box is a row x0, y0, x1, y1 in pixels; arrays of N boxes have shape = (N, 4), float32.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def areas(boxes: Floats) -> Floats:
    """shape = (N,), px²; 0 for a box turned inside out."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0)
    product: Floats = sides[:, 0] * sides[:, 1]
    return product


def overlap(
    first: Floats, second: Floats, relative_to: Literal["union", "smaller"] = "union"
) -> Floats:
    """Intersection of each pair of boxes over their union, or over the smaller of the two.

    Returns:
        shape = (len(first), len(second)), 0 to 1; 0 where neither box has an area.
    """
    top_left = np.maximum(first[:, None, :2], second[None, :, :2])
    bottom_right = np.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = np.maximum(bottom_right - top_left, 0.0)
    shared = sides[..., 0] * sides[..., 1]
    one, other = areas(first)[:, None], areas(second)[None, :]
    whole = one + other - shared if relative_to == "union" else np.minimum(one, other)
    share: Floats = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
    return share


def suppress(
    boxes: Floats,
    scores: Floats,
    threshold: float,
    relative_to: Literal["union", "smaller"] = "union",
) -> NDArray[np.intp]:
    """Non-maximum suppression: rows that stay, the highest score first.

    A box goes when a kept one of higher score overlaps it by more than ``threshold``; of equal
    scores the earlier row wins.
    """
    order = np.argsort(-scores, kind="stable")
    covered = overlap(boxes[order], boxes[order], relative_to) > threshold
    alive = np.ones(len(order), dtype=bool)
    for row in range(len(order)):
        if alive[row]:
            alive[row + 1 :] &= ~covered[row, row + 1 :]
    return order[alive]


def squares(boxes: Floats) -> Floats:
    """The smallest square around each box with the same centre."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([centres - half, centres + half], axis=1)


def patches(picture: NDArray[np.uint8], boxes: Floats, side_px: int) -> NDArray[np.uint8]:
    """Each box of ``picture`` resized to ``side_px``, black where it reaches beyond the picture.

    Args:
        picture: shape = (H, W, 3)

    Returns:
        shape = (N, side_px, side_px, 3)
    """
    height, width = picture.shape[:2]
    result = np.zeros((len(boxes), side_px, side_px, 3), np.uint8)
    whole = np.round(boxes).astype(np.int64)
    whole[:, 2:] = np.maximum(whole[:, 2:], whole[:, :2] + 1)
    for row, (x0, y0, x1, y1) in enumerate(whole.tolist()):
        inside = picture[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
        if inside.size == 0:
            continue
        if x0 < 0 or y0 < 0 or x1 > width or y1 > height:
            margins = (max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0))
            inside = cv2.copyMakeBorder(inside, *margins, cv2.BORDER_CONSTANT)
        cv2.resize(inside, (side_px, side_px), dst=result[row], interpolation=cv2.INTER_AREA)
    return result
