"""FER+ pictures as this project's crops show a face, and changed at random for training.

FER2013's faces have the eyes 0.37 of the width apart, this project's crops 0.25
(``mer_edge.faces.align.TEMPLATE``). So a picture is pasted smaller, its eyes where the template
has them, and what it does not cover gets some background. One affine warp does it all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_edge.faces.align import TEMPLATE
from mer_edge.model.resnet import IMAGENET_MEAN, IMAGENET_STD
from mer_edge.segments import FACE_SIZE_PX
from train.recipes.ferplus import PICTURE_SIZE_PX

FER_EYES: NDArray[np.float64] = np.array([[14.7, 17.2], [32.3, 17.2]])
"""Where FER2013's pictures have the eyes, px of 48: the dark spots of the mean of 6,000 faces."""
FRAMED_SCALE = float(
    np.linalg.norm(TEMPLATE[1] - TEMPLATE[0])
    / np.linalg.norm(FER_EYES[1] - FER_EYES[0])
    * PICTURE_SIZE_PX
    / FACE_SIZE_PX
)
"""Share of the crop's width that a picture takes so that its eyes are as far apart as there: 0.69.
"""
_EDGE_PX = 5
"""Over so many pixels of 48 a picture fades into the background."""


@dataclass(frozen=True)
class FaceChanges:
    """What training does to a face at random; spans are uniform, both ends included."""

    shift: float = 0.05
    """Each way, of the crop's width."""
    rotation_deg: float = 12.0
    """Each way, about the point between the eyes."""
    mirror_probability: float = 0.5
    coarse_probability: float = 0.15
    """That the picture is averaged down to ``coarse_px`` and up again; as likely it is blurred."""
    coarse_px: tuple[int, int] = (18, 40)
    blur_px: tuple[float, float] = (0.4, 1.2)
    """Deviation of the Gaussian, px of 48."""
    fade_probability: float = 0.6
    """That the picture fades into the background instead of ending at an edge."""
    gamma: tuple[float, float] = (0.75, 1.35)
    contrast: tuple[float, float] = (0.7, 1.25)
    brightness: float = 0.1
    """Added, each way; white is 1."""
    tint_probability: float = 0.6
    tint: float = 0.18
    """Each of R, G and B times 1 and up to so much more or less."""


def transform(
    side_px: int,
    scale: float = FRAMED_SCALE,
    shift: tuple[float, float] = (0.0, 0.0),
    rotation_deg: float = 0.0,
    mirror: bool = False,
) -> NDArray[np.float64]:
    """shape = (2, 3): from pixels of 48 to pixels of a crop of ``side_px``.

    The point between the eyes goes where the template has it (shifted by ``shift`` crop widths).
    """
    factor = scale * side_px / PICTURE_SIZE_PX
    angle = np.deg2rad(rotation_deg)
    turned = factor * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if mirror:
        turned = turned @ np.diag([-1.0, 1.0])
    # Pixel centres are at integers, so that a crop of another size is not merely multiplied.
    target = (TEMPLATE[:2].mean(axis=0) + 0.5) * side_px / FACE_SIZE_PX - 0.5
    target = target + np.array(shift) * side_px
    return np.column_stack([turned, target - turned @ FER_EYES.mean(axis=0)])


def framed(
    picture: NDArray[np.uint8], side_px: int, background: str, scale: float = FRAMED_SCALE
) -> NDArray[np.uint8]:
    """The picture as this project's crops show a face.

    Args:
        picture: shape = (48, 48), grey.
        background: "black", as beyond a frame's edge, or "border", its border drawn out.
        scale: share of the crop's width that it takes.

    Returns:
        shape = (side_px, side_px, 3).
    """
    modes = {"black": cv2.BORDER_CONSTANT, "border": cv2.BORDER_REPLICATE}
    return _three(_warped(picture, transform(side_px, scale), side_px, modes[background]))


def plain(picture: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """The picture as it is, made larger: (side_px, side_px, 3)."""
    return _three(cv2.resize(picture, (side_px, side_px), interpolation=cv2.INTER_LINEAR))


def changed(
    picture: NDArray[np.uint8],
    side_px: int,
    scale: tuple[float, float],
    changes: FaceChanges,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """A random view of a picture, as the network sees it.

    Args:
        picture: shape = (48, 48), grey.
        scale: least and most share of the crop's width that it takes.

    Returns:
        shape = (side_px, side_px, 3), with ImageNet's mean and deviation removed.
    """
    picture = _coarse(picture, changes, rng)
    matrix = transform(
        side_px,
        rng.uniform(*scale),
        (rng.uniform(-changes.shift, changes.shift), rng.uniform(-changes.shift, changes.shift)),
        rng.uniform(-changes.rotation_deg, changes.rotation_deg),
        bool(rng.random() < changes.mirror_probability),
    )
    background = _background(picture, matrix, side_px, rng)
    if rng.random() < changes.fade_probability:
        share = _warped(_FADE, matrix, side_px, cv2.BORDER_CONSTANT)[..., None]
        face = _warped(picture, matrix, side_px, cv2.BORDER_REPLICATE)[..., None]
        mixed = background[..., None] + (face.astype(np.float32) - background[..., None]) * share
        pasted = mixed[..., 0].astype(np.uint8)
    else:
        pasted = background
        cv2.warpAffine(
            picture,
            matrix,
            (side_px, side_px),
            dst=pasted,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_TRANSPARENT,
        )
    pixels: NDArray[np.float32] = _tone(changes, rng)[pasted]
    return pixels


def _coarse(
    picture: NDArray[np.uint8], changes: FaceChanges, rng: np.random.Generator
) -> NDArray[np.uint8]:
    draw = rng.random()
    if draw < changes.coarse_probability:
        side = int(rng.integers(*changes.coarse_px, endpoint=True))
        small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, picture.shape, interpolation=cv2.INTER_LINEAR))
    if draw < 2 * changes.coarse_probability:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(*changes.blur_px)))
    return picture


def _background(
    picture: NDArray[np.uint8], matrix: NDArray[np.float64], side_px: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """(side_px, side_px): black, one grey, patches of noise, or the picture's border drawn out."""
    kind = rng.choice(
        ["black", "grey", "patches", "border", "mirrored"], p=[0.15, 0.2, 0.2, 0.25, 0.2]
    )
    if kind in ("black", "grey"):
        return np.full((side_px, side_px), 0 if kind == "black" else rng.integers(256), np.uint8)
    if kind == "patches":
        cells = int(rng.integers(2, 9))
        patches = rng.integers(0, 256, (cells, cells), np.uint8)
        return np.asarray(cv2.resize(patches, (side_px, side_px), interpolation=cv2.INTER_CUBIC))
    mode = cv2.BORDER_REPLICATE if kind == "border" else cv2.BORDER_REFLECT_101
    drawn_out = _warped(picture, matrix, side_px, mode)
    return np.asarray(cv2.blur(drawn_out, (max(side_px // 16, 1),) * 2))


def _tone(changes: FaceChanges, rng: np.random.Generator) -> NDArray[np.float32]:
    """(256, 3): grey value -> normalised R, G and B."""
    values = np.linspace(0.0, 1.0, 256) ** rng.uniform(*changes.gamma)
    values = (values - 0.5) * rng.uniform(*changes.contrast) + 0.5
    values += rng.uniform(-changes.brightness, changes.brightness)
    colours = np.repeat(values[:, None], 3, axis=1)
    if rng.random() < changes.tint_probability:
        colours *= rng.uniform(1 - changes.tint, 1 + changes.tint, 3)
    normalised = (np.clip(colours, 0.0, 1.0) - IMAGENET_MEAN) / np.array(IMAGENET_STD)
    tone: NDArray[np.float32] = normalised.astype(np.float32)
    return tone


def _warped(
    picture: NDArray[Any], matrix: NDArray[np.float64], side_px: int, border_mode: int
) -> NDArray[Any]:
    return np.asarray(
        cv2.warpAffine(
            picture, matrix, (side_px, side_px), flags=cv2.INTER_LINEAR, borderMode=border_mode
        )
    )


def _three(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(picture[..., None], 3, axis=2)


def _fade() -> NDArray[np.float32]:
    """(48, 48): 0 at the picture's edge, 1 from ``_EDGE_PX`` on."""
    place = np.arange(PICTURE_SIZE_PX)
    ramp = np.clip(np.minimum(place, place[::-1]) / _EDGE_PX, 0.0, 1.0)
    share: NDArray[np.float32] = np.outer(ramp, ramp).astype(np.float32)
    return share


_FADE = _fade()
