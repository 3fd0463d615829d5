"""A face made upright and of one size: five points, one similarity transform, one crop."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_edge.segments import FACE_SIZE_PX

_ARCFACE_112 = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
"""Where ArcFace (Deng et al. 2019) puts the five points in its crop of 112 px."""
_EYES_AT = np.array([FACE_SIZE_PX / 2 - 0.5, 0.40 * FACE_SIZE_PX])
_ZOOM = 1.6

TEMPLATE: NDArray[np.float64] = (_ARCFACE_112 - [56.0252, 51.5989]) * _ZOOM + _EYES_AT
"""Where the five points come to lie in the crop, shape = (5, 2), px.

ArcFace's points, looser: recognising who it is needs the middle of the face, recognising what it
expresses needs the brows, the whole mouth and the chin, also with the mouth wide open. At 1.6
instead of 2 times ArcFace's size the eyes are a quarter of the crop apart and at 40 % of its
height, the mouth is at 69 %, the chin at about 90 %: about what the face boxes of AffectNet show.
"""
LEAST_LIKENESS = 0.5
"""Points that agree less than this with the template are no face (mirrored, collapsed, noise)."""


def align(frame_rgb: NDArray[np.uint8], points: NDArray[np.floating]) -> NDArray[np.uint8] | None:
    """The face as an upright crop, black where it reaches beyond the frame.

    The transform is the least-squares similarity (rotation, one scale, shift; never a mirror
    image) from ``points`` to ``TEMPLATE``. A face larger than the crop is averaged down, not
    sampled, so that fine detail does not alias.

    Args:
        frame_rgb: shape = (H, W, 3), the full frame.
        points: shape = (5, 2), px, in the order of ``Face.points``.

    Returns:
        shape = (224, 224, 3); None where the points are no face or lie outside the frame.
    """
    transform = similarity(np.asarray(points, np.float64), TEMPLATE)
    if transform is None:
        return None
    region = _region(transform, frame_rgb.shape[1], frame_rgb.shape[0])
    if region is None:
        return None
    x0, y0, x1, y1 = region
    transform = transform.copy()
    transform[:, 2] += transform[:, :2] @ (x0, y0)
    picture, transform = _shrunk(np.ascontiguousarray(frame_rgb[y0:y1, x0:x1]), transform)
    crop: NDArray[np.uint8] = cv2.warpAffine(
        picture,
        transform,
        (FACE_SIZE_PX, FACE_SIZE_PX),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
    )
    return crop


def similarity(
    source: NDArray[np.float64], target: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """The similarity that brings ``source`` closest to ``target`` in least squares (Umeyama 1991).

    In the plane it is one complex division: as complex numbers about their means, target = a
    source with a = <source, target> / <source, source>; no complex a is a reflection.

    Returns:
        shape = (2, 3), to multiply (x, y, 1); None where the points are not finite, coincide, or
        look nothing like the target.
    """
    if not np.isfinite(source).all():
        return None
    z, w = source @ (1, 1j), target @ (1, 1j)
    z_mean, w_mean = z.mean(), w.mean()
    z_spread, w_spread = np.linalg.norm(z - z_mean), np.linalg.norm(w - w_mean)
    if z_spread < 1.0:
        return None
    product = np.vdot(z - z_mean, w - w_mean)
    if abs(product) < LEAST_LIKENESS * z_spread * w_spread:
        return None
    a = product / z_spread**2
    b = w_mean - a * z_mean
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def _region(
    transform: NDArray[np.float64], width: int, height: int
) -> tuple[int, int, int, int] | None:
    """The part of the frame that the crop shows and two pixels around it; None if it is empty."""
    inverse = cv2.invertAffineTransform(transform)
    last = FACE_SIZE_PX - 1
    corners = np.array([[0, 0, 1], [last, 0, 1], [0, last, 1], [last, last, 1]]) @ inverse.T
    margin = 2 + 1 / _scale(transform)
    low = np.floor(corners.min(axis=0) - margin)
    high = np.ceil(corners.max(axis=0) + margin) + 1
    x0, y0 = np.clip(low, 0, (width, height)).astype(int).tolist()
    x1, y1 = np.clip(high, 0, (width, height)).astype(int).tolist()
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _shrunk(
    picture: NDArray[np.uint8], transform: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Average ``picture`` down so that the rest of ``transform`` no longer shrinks it."""
    scale = _scale(transform)
    if scale >= 1:
        return picture, transform
    sides = np.array([picture.shape[1], picture.shape[0]])
    new_sides = np.maximum(np.ceil(sides * scale), 1).astype(int)
    smaller = cv2.resize(picture, new_sides.tolist(), interpolation=cv2.INTER_AREA)
    # Pixel centres are at integers: x = (x' + 0.5) * factor - 0.5.
    factor = sides / new_sides
    back = np.array([[factor[0], 0, factor[0] / 2 - 0.5], [0, factor[1], factor[1] / 2 - 0.5]])
    return smaller, transform @ np.vstack([back, [0, 0, 1]])


def _scale(transform: NDArray[np.float64]) -> float:
    """Crop pixels per frame pixel."""
    return float(np.hypot(transform[0, 0], transform[1, 0]))
