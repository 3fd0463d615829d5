"""The part of a drawn person that does not move: head, hair, nose, neck and shoulders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from train.datasets.appearance import Appearance, Color, shade

WIDTH, HEIGHT = 352, 450
"""Of a portrait, in its own pixels; a frame shows it at about half that size."""
CENTRE = (176.0, 176.0)
"""Of the head."""

Image = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Light:
    """Where the light comes from and how much of it there is."""

    direction: tuple[float, float, float]
    """Towards the light: x right, y down, z to the viewer; unit length."""
    ambient: float
    """Share of light that comes from everywhere, 0 to 1."""


def random_light(rng: np.random.Generator) -> Light:
    """From above, from either side."""
    vector = np.array([rng.uniform(-0.8, 0.8), rng.uniform(-0.8, -0.2), 1.0])
    x, y, z = (vector / np.linalg.norm(vector)).tolist()
    return Light(direction=(x, y, z), ambient=float(rng.uniform(0.45, 0.7)))


def draw_portrait(look: Appearance, light: Light, rng: np.random.Generator) -> NDArray[np.uint8]:
    """RGBA, shape = (HEIGHT, WIDTH, 4); the face has no eyes, brows or mouth yet."""
    # A row and a column: what depends on one of them alone is computed on few numbers.
    x = np.arange(WIDTH, dtype=np.float32)[None] - np.float32(CENTRE[0])
    y = np.arange(HEIGHT, dtype=np.float32)[:, None] - np.float32(CENTRE[1])
    image = np.zeros((HEIGHT, WIDTH, 3), dtype=np.float32)
    alpha = np.zeros((HEIGHT, WIDTH), dtype=np.float32)
    head = _head_mask(x, y, look)
    lit = _lighting(x, y, look, light)
    hair = _hair_texture(look, lit, rng)

    back = _back_hair_mask(x, y, look)
    _lay(image, alpha, back, hair * 0.7)
    _lay(image, alpha, _shoulder_mask(x, y), _flat(look.clothes) * (0.75 + 0.25 * lit))
    _lay(image, alpha, _neck_mask(x, y, look), _neck_skin(x, y, look, light))
    _lay(image, alpha, _ear_mask(x, y, look), _flat(shade(look.skin, 0.88)) * lit)
    _lay(image, alpha, head, _face_skin(x, y, look, lit))
    _lay(image, alpha, _front_hair_mask(x, y, look), hair)
    rgba = np.dstack([image, 255 * alpha])
    return np.clip(np.rint(rgba), 0, 255).astype(np.uint8)


def _head_mask(x: Image, y: Image, look: Appearance) -> Image:
    """An ellipse that narrows to the chin."""
    width = look.half_width * (1 - look.jaw * np.clip(y / look.half_height, 0, 1) ** 2)
    return _soft((np.hypot(x / width, y / look.half_height) - 1) * look.half_width)


def _lighting(x: Image, y: Image, look: Appearance, light: Light) -> Image:
    """Lambert's law on an ellipsoid; shape = (HEIGHT, WIDTH, 1), about 0.5 to 1.1."""
    nx, ny = x / (look.half_width * 1.15), y / (look.half_height * 1.2)
    nz = np.sqrt(np.clip(1 - nx**2 - ny**2, 0.05, 1))
    lx, ly, lz = light.direction
    diffuse = np.clip(nx * lx + ny * ly + nz * lz, 0, None)
    lit = light.ambient + (1.08 - light.ambient) * diffuse
    return np.asarray(lit[..., None], dtype=np.float32)


def _face_skin(x: Image, y: Image, look: Appearance, lit: Image) -> Image:
    """Skin with eye sockets, cheeks and a nose."""
    x = x - look.yaw
    eye_y = -0.05 * look.half_height
    tone = np.ones((HEIGHT, WIDTH), dtype=np.float32)
    for side in (-1, 1):
        eye_x = side * look.eye_spacing
        tone -= 0.16 * _blob(x - eye_x, y - eye_y + 4, 24, 15)
        tone -= 0.12 * _blob(x - side * look.nose_width * 0.75, y - eye_y - 24, 6, 26)
    tip = eye_y + look.nose_length
    tone += 0.10 * _blob(x, y - eye_y - look.nose_length * 0.5, 5, look.nose_length * 0.45)
    tone += 0.10 * _blob(x, y - tip + 4, 8, 7)
    tone -= 0.22 * _blob(x, y - tip - 8, look.nose_width * 1.1, 5)
    for side in (-1, 1):
        tone -= 0.30 * _blob(x - side * look.nose_width * 0.55, y - tip - 5, 4, 3)
        tone -= 0.10 * _blob(x - side * look.nose_width * 1.05, y - tip + 1, 3, 8)
    tone -= 0.12 * _blob(x, y - look.half_height * 0.79, 16, 5)
    skin = _flat(look.skin) * tone[..., None] * lit
    blush = _blob(np.abs(x) - look.half_width * 0.58, y - look.half_height * 0.32, 16, 14)
    skin[..., 0] += 8 * blush
    skin[..., 1:] -= 6 * blush[..., None]
    return skin


def _neck_skin(x: Image, y: Image, look: Appearance, light: Light) -> Image:
    """Round, and in the shadow of the chin."""
    shadow = 1 - 0.35 * np.exp(-(((y - look.half_height * 0.95) / 30) ** 2))
    around = np.cos(np.clip(x / look.half_width * 1.6 - light.direction[0], -1.4, 1.4))
    return np.asarray(_flat(look.skin) * (shadow * (0.55 + 0.3 * around))[..., None])


def _hair_texture(look: Appearance, lit: Image, rng: np.random.Generator) -> Image:
    """Strands: noise that varies across, hardly along."""
    strands = rng.standard_normal((12, WIDTH // 3)).astype(np.float32)
    strands = cv2.resize(strands, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.asarray(_flat(look.hair) * (0.35 + 0.65 * lit) * (1 + 0.10 * strands[..., None]))


def _front_hair_mask(x: Image, y: Image, look: Appearance) -> Image:
    """A cap over the skull down to the hairline."""
    if look.hair_style == "bald":
        return np.zeros((HEIGHT, WIDTH), dtype=np.float32)
    a, b = look.half_width, look.half_height
    cap = (np.hypot(x / (a * 1.09), (y + 2) / (b * 1.10)) - 1) * a
    slope = -0.22 * (x + 0.5 * a) if look.hair_style == "parted" else 0.0 * x
    side = 0.62 if look.hair_style in ("long", "bob") else 0.42
    line = -look.hairline * b + slope + b * side * (np.abs(x) / a) ** 4
    return _soft(np.maximum(cap, y - line))


def _back_hair_mask(x: Image, y: Image, look: Appearance) -> Image:
    """Hair behind the face: to the shoulders, to the chin, or none."""
    bottom = {"long": 1.55, "bob": 0.85}.get(look.hair_style)
    if bottom is None:
        return np.zeros((HEIGHT, WIDTH), dtype=np.float32)
    a, b = look.half_width, look.half_height
    width = a * (1.16 + 0.10 * np.clip(y / b, 0, 1.5))
    skull = (np.hypot(x / (a * 1.16), y / (b * 1.12)) - 1) * a
    curtain = np.maximum(np.abs(x) - width, np.maximum(-y, y - bottom * b))
    return _soft(np.minimum(skull, curtain))


def _neck_mask(x: Image, y: Image, look: Appearance) -> Image:
    """Widens into the shoulders and ends in a round neckline."""
    half = look.half_width * (0.56 + 0.3 * np.clip((y - 118) / 60, 0, 1) ** 2)
    return _soft(np.maximum(np.abs(x) - half, np.maximum(-y, y - 165 + (x / 12) ** 2)))


def _shoulder_mask(x: Image, y: Image) -> Image:
    return _soft((np.hypot(x / 170, np.minimum(y - 240, 0) / 108) - 1) * 108)


def _ear_mask(x: Image, y: Image, look: Appearance) -> Image:
    return _soft((np.hypot((np.abs(x) - look.half_width * 0.99) / 10, (y - 6) / 22) - 1) * 10)


def _soft(distance_px: Image) -> Image:
    """A signed distance (negative inside) to an opacity with a smooth edge two pixels wide."""
    return np.clip(0.5 - distance_px / 2, 0, 1)


def _blob(x: Image, y: Image, width: float, height: float) -> Image:
    return np.exp(-((x / width) ** 2) - (y / height) ** 2)


def _flat(color: Color) -> Image:
    return np.array(color, dtype=np.float32)


def _lay(image: Image, alpha: Image, mask: Image, color: Image) -> None:
    """Put a colour over what is there, in place (Porter and Duff 1984, "over")."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    above, below, opacity = np.broadcast_to(color, image.shape)[part], image[part], mask[part]
    covered = opacity + alpha[part] * (1 - opacity)
    below += (above - below) * (opacity / np.maximum(covered, 1e-6))[..., None]
    alpha[part] = covered
