"""The frames of a clip: a drawn person moves and talks before a background, seen by a camera."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from train.datasets.appearance import Appearance
from train.datasets.expression import Expression, speaking
from train.datasets.features import draw_features
from train.datasets.portrait import CENTRE, draw_portrait, random_light

FRAME_WIDTH_PX, FRAME_HEIGHT_PX = 320, 240
FRAME_RATE_HZ = 15
NOISE_MARGIN_PX = 32
"""The camera's noise is one larger picture of which each frame sees another part."""

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Motion:
    """Where the head is: a place and a slow sway around it."""

    scale: float
    """Pixels of the frame per pixel of the portrait."""
    x_px: float
    y_px: float
    tilt_deg: float
    sway_px: float
    sway_deg: float
    rates_hz: tuple[float, float, float]
    phases: tuple[float, float, float]

    def matrix(self, time_s: float) -> NDArray[np.float64]:
        """From portrait to frame, shape = (2, 3)."""
        waves = np.sin(2 * np.pi * (np.array(self.rates_hz) * time_s + self.phases))
        angle = self.tilt_deg + self.sway_deg * waves[2]
        matrix = np.asarray(cv2.getRotationMatrix2D(CENTRE, angle, self.scale))
        matrix[:, 2] += np.array([self.x_px, self.y_px]) - CENTRE + self.sway_px * waves[:2]
        return matrix


def random_motion(rng: np.random.Generator) -> Motion:
    """A head that fills a good part of the frame, roughly in its middle."""
    scale = float(rng.uniform(0.55, 0.78))
    rates = rng.uniform(0.2, 0.7, 3).tolist()
    phases = rng.random(3).tolist()
    return Motion(
        scale=scale,
        x_px=float(FRAME_WIDTH_PX / 2 + rng.uniform(-45, 45)),
        y_px=float(FRAME_HEIGHT_PX / 2 + rng.uniform(-14, 6)),
        tilt_deg=float(rng.normal(0, 4)),
        sway_px=float(rng.uniform(1, 4)),
        sway_deg=float(rng.uniform(0.5, 3)),
        rates_hz=(rates[0], rates[1], rates[2]),
        phases=(phases[0], phases[1], phases[2]),
    )


def draw_frames(
    look: Appearance,
    expression: Expression,
    loudness: NDArray[np.float64],
    rng: np.random.Generator,
) -> Iterator[Image]:
    """The frames of a clip, RGB, shape = (240, 320, 3) each.

    Args:
        look: Who is seen.
        expression: What the face shows.
        loudness: shape = (frames,), 0 to 1, of the voice at each frame: it moves the mouth.
        rng: Everything else about the recording.
    """
    light = random_light(rng)
    rgba = draw_portrait(look, light, rng)
    portrait, opacity = np.ascontiguousarray(rgba[..., :3]), rgba[..., 3].copy()
    background = _background(rng)
    motion = random_motion(rng)
    exposure = rng.uniform(0.8, 1.12) * rng.uniform(0.95, 1.05, 3)
    noise = _camera_noise(rng)
    blinks = _blinks(len(loudness), rng)
    swing_hz, swing_phase = rng.uniform(0.2, 0.5), rng.random()
    brightness = _brightness(portrait, look)
    for index, loud in enumerate(loudness):
        time_s = index / FRAME_RATE_HZ
        swing = 0.9 + 0.1 * float(np.sin(2 * np.pi * (swing_hz * time_s + swing_phase)))
        now = speaking(expression, float(loud), swing, float(blinks[index]))
        frame = _compose(
            portrait, opacity, look, now, motion.matrix(time_s), background, brightness
        )
        yield _expose(frame, exposure, noise, rng)


def _compose(
    portrait: Image,
    opacity: Image,
    look: Appearance,
    expression: Expression,
    matrix: NDArray[np.float64],
    background: Image,
    brightness: float,
) -> Image:
    size = (FRAME_WIDTH_PX, FRAME_HEIGHT_PX)
    face = portrait.copy()
    draw_features(face, look, expression, brightness)
    warped = cv2.warpAffine(face, matrix, size, flags=cv2.INTER_LINEAR)
    alpha = cv2.warpAffine(opacity, matrix, size, flags=cv2.INTER_LINEAR)
    weight = alpha.astype(np.float32) / 255
    return np.asarray(cv2.blendLinear(warped, background, weight, 1 - weight))


def _expose(
    frame: Image,
    exposure: NDArray[np.float64],
    noise: NDArray[np.int16],
    rng: np.random.Generator,
) -> Image:
    """Colour of the light and noise of the camera."""
    table = np.clip(np.arange(256)[:, None] * exposure, 0, 255).astype(np.uint8)
    lit = cv2.LUT(frame, table[None])
    x, y = rng.integers(0, NOISE_MARGIN_PX, 2)
    part = noise[y : y + FRAME_HEIGHT_PX, x : x + FRAME_WIDTH_PX]
    return np.asarray(cv2.add(lit, part, dtype=cv2.CV_8U))


def _background(rng: np.random.Generator) -> Image:
    """A wall with a gradient and a few blurred things on it."""
    top, bottom = (rng.uniform(50, 190) + rng.uniform(-22, 22, 3) for _ in range(2))
    ramp = np.linspace(0, 1, FRAME_HEIGHT_PX)[:, None, None]
    wall = (top * (1 - ramp) + bottom * ramp) * np.ones((1, FRAME_WIDTH_PX, 1))
    image = np.clip(wall, 0, 255).astype(np.uint8)
    for _ in range(rng.integers(2, 6)):
        x, y = rng.integers(0, FRAME_WIDTH_PX), rng.integers(0, FRAME_HEIGHT_PX)
        width, height = rng.integers(20, 90, 2).tolist()
        color = (rng.uniform(40, 200) + rng.uniform(-30, 30, 3)).tolist()
        cv2.rectangle(image, (int(x), int(y)), (int(x) + width, int(y) + height), color, -1)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(1.5, 6))))


def _camera_noise(rng: np.random.Generator) -> NDArray[np.int16]:
    shape = (FRAME_HEIGHT_PX + NOISE_MARGIN_PX, FRAME_WIDTH_PX + NOISE_MARGIN_PX, 3)
    level = rng.uniform(0.5, 3.0)
    return np.asarray(np.rint(level * rng.standard_normal(shape, np.float32)), dtype=np.int16)


def _blinks(frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Three frames of closing and opening about every three seconds."""
    shut = np.zeros(frames + 3)
    for start in np.flatnonzero(rng.random(frames) < 1 / (3.0 * FRAME_RATE_HZ)):
        shut[start : start + 3] = (0.6, 1.0, 0.5)
    return shut[:frames]


def _brightness(portrait: Image, look: Appearance) -> float:
    """Of the light on the middle of the face."""
    x, y = int(CENTRE[0]), int(CENTRE[1])
    forehead = portrait[y - 30 : y - 10, x - 20 : x + 20].mean()
    return float(np.clip(forehead / np.mean(look.skin), 0.5, 1.1))
