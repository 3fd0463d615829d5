"""How a drawn person looks: everything that has nothing to do with the emotion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Color = tuple[float, float, float]
"""RGB, 0 to 255."""

SKINS: tuple[Color, ...] = (
    (246, 214, 190), (236, 196, 166), (224, 178, 142), (205, 154, 116),
    (176, 124, 88), (146, 98, 68), (112, 74, 52),
)  # fmt: skip
HAIRS: tuple[Color, ...] = (
    (32, 26, 24), (58, 40, 30), (96, 62, 38), (142, 94, 52), (196, 156, 92), (150, 70, 40),
    (150, 146, 142),
)  # fmt: skip
IRISES: tuple[Color, ...] = ((70, 44, 28), (96, 66, 36), (70, 96, 60), (70, 104, 140))
HAIR_STYLES = ("short", "long", "bob", "parted", "bald")


@dataclass(frozen=True)
class Appearance:
    """A person; lengths are pixels of the portrait (``portrait.WIDTH`` x ``portrait.HEIGHT``)."""

    skin: Color
    hair: Color
    iris: Color
    clothes: Color
    hair_style: str
    half_width: float
    half_height: float
    jaw: float
    """0 (an ellipse) to 0.4 (a narrow chin)."""
    hairline: float
    eye_spacing: float
    """From the middle of the face to the middle of an eye."""
    eye_size: float
    eye_height: float
    """Half the opening of a relaxed eye."""
    brow_thickness: float
    brow_height: float
    """From the eye to its brow."""
    nose_length: float
    nose_width: float
    mouth_width: float
    """Half the width of the relaxed mouth."""
    lip: float
    """Thickness of a lip."""
    yaw: float
    """Shift of the features to one side: the head is turned a little."""


def random_appearance(rng: np.random.Generator) -> Appearance:
    """Somebody."""
    skin = _vary(SKINS[rng.integers(len(SKINS))], 8, rng)
    hair = _vary(HAIRS[rng.integers(len(HAIRS))], 8, rng)
    half_width = float(rng.uniform(70, 82))
    half_height = float(rng.uniform(98, 110))
    return Appearance(
        skin=skin,
        hair=hair,
        iris=_vary(IRISES[rng.integers(len(IRISES))], 6, rng),
        clothes=_vary((110, 110, 120), 70, rng),
        hair_style=HAIR_STYLES[rng.choice(len(HAIR_STYLES), p=(0.3, 0.22, 0.18, 0.22, 0.08))],
        half_width=half_width,
        half_height=half_height,
        jaw=float(rng.uniform(0.05, 0.3)),
        hairline=float(rng.uniform(0.5, 0.66)),
        eye_spacing=float(half_width * rng.uniform(0.41, 0.47)),
        eye_size=float(rng.uniform(15, 18.5)),
        eye_height=float(rng.uniform(6.5, 8.5)),
        brow_thickness=float(rng.uniform(4.5, 8.0)),
        brow_height=float(rng.uniform(21, 26)),
        nose_length=float(half_height * rng.uniform(0.36, 0.42)),
        nose_width=float(rng.uniform(11, 16)),
        mouth_width=float(rng.uniform(24, 30)),
        lip=float(rng.uniform(4.0, 7.0)),
        yaw=float(rng.normal(0, 3.0)),
    )


def shade(color: Color, factor: float) -> Color:
    """The colour, darker or lighter."""
    red, green, blue = (min(255.0, max(0.0, channel * factor)) for channel in color)
    return red, green, blue


def blend(below: Color, above: Color, amount: float) -> Color:
    """``amount`` (0 to 1) of the way from one colour to the other."""
    red, green, blue = (b + (a - b) * amount for b, a in zip(below, above, strict=True))
    return red, green, blue


def _vary(color: Color, spread: float, rng: np.random.Generator) -> Color:
    red, green, blue = np.clip(np.array(color) + rng.uniform(-spread, spread, 3), 0, 255).tolist()
    return red, green, blue
