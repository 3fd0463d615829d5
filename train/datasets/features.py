"""The part of a drawn face that moves: eyes, brows and mouth, drawn onto a portrait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from train.datasets.appearance import Appearance, Color, blend, shade
from train.datasets.expression import Expression
from train.datasets.portrait import CENTRE

SUBPIXEL_BITS = 4
"""Fraction bits of the coordinates OpenCV draws with."""

# Along a curve: across the eye and the mouth, along a brow and a fold. Frames share them.
_ACROSS_EYE = np.linspace(-1, 1, 15)
_EYE_BOW = (1 - _ACROSS_EYE**2) ** 0.75
_ALONG_BROW = np.linspace(0, 1, 10)
_BROW_ARCH = 4.0 * np.sin(np.pi * _ALONG_BROW**1.2)
_BROW_TAPER = 1 - 0.65 * _ALONG_BROW**1.5
_ALONG_FOLD = np.linspace(0, 1, 8)
_ACROSS_MOUTH = np.linspace(-1, 1, 21)
_MOUTH_BOW = 1 - _ACROSS_MOUTH**2
_LIP_BOW = _MOUTH_BOW**0.8
_CUPID = 1 - 0.25 * np.exp(-((_ACROSS_MOUTH / 0.16) ** 2))

Image = NDArray[np.uint8]
Points = NDArray[np.floating[Any]]


def draw_features(
    portrait: Image, look: Appearance, expression: Expression, brightness: float
) -> None:
    """Draw onto an RGB portrait, in place.

    Args:
        portrait: shape = (HEIGHT, WIDTH, 3), uint8.
        look: Whose face.
        expression: What it does.
        brightness: Of the light on the face, about 0.5 to 1.1.
    """
    middle_x = CENTRE[0] + look.yaw
    eye_y = CENTRE[1] - 0.05 * look.half_height
    for side in (-1, 1):
        eye_x = middle_x + side * look.eye_spacing
        _draw_eye(portrait, look, expression, (eye_x, eye_y), side, brightness)
        _draw_brow(portrait, look, expression, (eye_x, eye_y), side, brightness)
    mouth = (middle_x, CENTRE[1] + 0.60 * look.half_height)
    _draw_lines(portrait, look, expression, (middle_x, eye_y), mouth)
    _draw_mouth(portrait, look, expression, mouth, brightness)


def _draw_eye(
    image: Image,
    look: Appearance,
    expression: Expression,
    centre: tuple[float, float],
    side: int,
    brightness: float,
) -> None:
    x, y = centre
    raised = max(0.0, 1 + 0.9 * expression.lid_upper)
    lifted = _limit(0.62 - 0.5 * expression.lid_lower, 0.05, 0.9) * min(1.0, raised + 0.2)
    # The outer corner sinks when the inner ends of the brows rise, and the other way round.
    sink = 2.2 * _limit(expression.brow_inner, -1, 1) - 0.8
    middle = y + side * sink * _ACROSS_EYE
    across = x + look.eye_size * _ACROSS_EYE
    upper = np.stack([across, middle - look.eye_height * raised * _EYE_BOW], axis=1)
    lower = np.stack([across, middle + look.eye_height * lifted * _EYE_BOW], axis=1)
    white = shade((242, 238, 232), 0.55 + 0.45 * brightness)
    iris_y = y - 0.12 * look.eye_height + 3.2 * expression.gaze_down
    radius = look.eye_height * 0.98

    def eyeball(roi: Image, origin: NDArray[np.int64]) -> None:
        at = np.array([x, iris_y], dtype=np.float64) - origin
        roi[:] = white
        _disc(roi, at, radius, shade(look.iris, brightness))
        _disc(roi, at, radius * 0.5, (18, 14, 14))
        _disc(roi, at - [radius * 0.35, radius * 0.4], radius * 0.22, (255, 255, 255))

    _through(image, np.concatenate([upper, lower[::-1]]), eyeball)
    lid = shade(look.skin, 0.3 * brightness)
    _line(image, upper, lid, 3)
    _line(image, lower, shade(look.skin, 0.62 * brightness), 1)
    crease = upper[2:-2] - [0, 5.0]
    _line(image, crease, shade(look.skin, 0.72 * brightness), 1)


def _draw_brow(
    image: Image,
    look: Appearance,
    expression: Expression,
    eye: tuple[float, float],
    side: int,
    brightness: float,
) -> None:
    u = _ALONG_BROW  # from the inner to the outer end
    inner, outer = expression.brow_inner, expression.brow_outer
    squeeze = 3.0 * max(0.0, -inner)
    x = eye[0] + side * ((u - 0.48) * 2.35 * look.eye_size - squeeze * (1 - u))
    rise = 9.5 * inner * (1 - u) ** 1.3 + 7.0 * outer * u + _BROW_ARCH
    y = eye[1] - look.brow_height - rise + 2.5
    half = look.brow_thickness / 2 * _BROW_TAPER
    color = shade(blend(look.hair, (30, 22, 18), 0.45), 0.5 + 0.5 * brightness)
    edge = np.concatenate([np.stack([x, y - half], 1), np.stack([x, y + half], 1)[::-1]])
    _fill(image, edge, blend(color, look.skin, 0.12))


def _draw_lines(
    image: Image,
    look: Appearance,
    expression: Expression,
    between_eyes: tuple[float, float],
    mouth: tuple[float, float],
) -> None:
    """Furrows between the brows and the folds beside the nose."""
    furrow = _limit(expression.furrow, 0, 1.2)
    if furrow > 0.15:
        middle_x, eye_y = between_eyes
        brow_y = eye_y - look.brow_height
        for side in (-1, 1):
            line = [(middle_x + side * 5.0, brow_y - 5), (middle_x + side * 4.0, brow_y + 11)]
            _crease(image, np.array(line), 1 - 0.35 * furrow)
    fold = _limit(expression.cheek_fold, 0, 1.2)
    if fold > 0.15:
        u = _ALONG_FOLD
        y = mouth[1] - 28 + 30 * u
        for side in (-1, 1):
            x = mouth[0] + side * (look.nose_width + 4 + (look.mouth_width - 2) * u**0.8)
            _crease(image, np.stack([x, y], 1), 1 - 0.25 * fold)


def _draw_mouth(
    image: Image,
    look: Appearance,
    expression: Expression,
    centre: tuple[float, float],
    brightness: float,
) -> None:
    half_width = look.mouth_width * (1 + 0.6 * _limit(expression.mouth_width, -0.6, 0.7))
    x = centre[0] + half_width * _ACROSS_MOUTH
    opening = 17.0 * _limit(expression.mouth_open, 0, 1.2)
    seam = centre[1] - 9.5 * expression.smile * (0.55 - _MOUTH_BOW)
    inner_top = seam - 0.35 * opening * _MOUTH_BOW
    inner_bottom = seam + 0.65 * opening * _MOUTH_BOW
    outer_top = inner_top - look.lip * 0.85 * _LIP_BOW * _CUPID
    outer_bottom = inner_bottom + look.lip * 1.1 * _LIP_BOW
    lip = shade(blend(look.skin, (178, 64, 72), 0.5), 0.9 * brightness)
    _fill(image, _loop(x, outer_top, inner_top), shade(lip, 0.86))
    _fill(image, _loop(x, inner_bottom, outer_bottom), lip)
    teeth = _limit(expression.teeth, 0, 1)

    def cavity(roi: Image, origin: NDArray[np.int64]) -> None:
        roi[:] = shade((70, 26, 30), brightness)
        if teeth > 0.25:
            bite = inner_top + (2.0 + 7.0 * teeth) * _MOUTH_BOW**0.5
            row = _loop(x, inner_top - 2, bite) - origin
            _fill(roi, row, shade((238, 234, 224), 0.5 + 0.5 * brightness))

    if opening > 1.5:
        _through(image, _loop(x, inner_top, inner_bottom), cavity)
    _line(image, np.stack([x, seam if opening <= 1.5 else inner_top], 1), shade(lip, 0.55), 2)


def _limit(value: float, low: float, high: float) -> float:
    return min(high, max(low, value))


def _loop(x: NDArray[np.float64], top: NDArray[np.float64], bottom: NDArray[np.float64]) -> Points:
    return np.concatenate([np.stack([x, top], 1), np.stack([x, bottom], 1)[::-1]])


def _fixed(points: Points) -> NDArray[np.int32]:
    return np.asarray(np.rint(points * 2**SUBPIXEL_BITS), dtype=np.int32)


def _fill(image: Image, points: Points, color: Color) -> None:
    cv2.fillPoly(image, [_fixed(points)], color, cv2.LINE_AA, SUBPIXEL_BITS)


def _line(image: Image, points: Points, color: Color, thickness_px: int) -> None:
    cv2.polylines(image, [_fixed(points)], False, color, thickness_px, cv2.LINE_AA, SUBPIXEL_BITS)


def _crease(image: Image, points: Points, factor: float) -> None:
    """A line in the skin: darker than what is there."""
    x, y = points[len(points) // 2].astype(np.int64)
    red, green, blue = image[y, x].tolist()
    _line(image, points, shade((red, green, blue), factor), 2)


def _disc(image: Image, centre: Points, radius: float, color: Color) -> None:
    x, y = _fixed(centre).tolist()
    size = round(radius * 2**SUBPIXEL_BITS)
    cv2.circle(image, (x, y), size, color, cv2.FILLED, cv2.LINE_AA, SUBPIXEL_BITS)


def _through(
    image: Image, outline: Points, paint: Callable[[Image, NDArray[np.int64]], None]
) -> None:
    """Paint through an outline: what ``paint`` puts on a copy appears inside it alone."""
    low = np.floor(outline.min(axis=0)).astype(np.int64) - 1
    high = np.ceil(outline.max(axis=0)).astype(np.int64) + 2
    roi = image[low[1] : high[1], low[0] : high[0]]
    painted = roi.copy()
    paint(painted, low)
    mask = np.zeros(roi.shape[:2], dtype=np.uint8)
    _fill(mask, outline - low, (255, 255, 255))
    weight = mask[..., None].astype(np.uint16)
    roi[:] = ((painted * weight + roi * (255 - weight) + 127) // 255).astype(np.uint8)
