"""What an emotion does to a face: a few muscle movements, after the Facial Action Coding System."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np


@dataclass(frozen=True)
class Expression:
    """Movements from a relaxed face; 1 is as far as the emotion goes at full strength.

    The numbers in brackets are the action units of Ekman, Friesen and Hager 2002.
    """

    brow_inner: float = 0.0
    """Inner ends up (AU 1) or, negative, down (AU 4)."""
    brow_outer: float = 0.0
    """Outer ends up (AU 2) or down."""
    furrow: float = 0.0
    """Lines between the brows (AU 4)."""
    lid_upper: float = 0.0
    """Upper lids up (AU 5) or down (AU 43)."""
    lid_lower: float = 0.0
    """Lower lids up (AU 6 and 7)."""
    gaze_down: float = 0.0
    smile: float = 0.0
    """Corners of the mouth up (AU 12) or, negative, down (AU 15)."""
    mouth_width: float = 0.0
    """Wider (AU 20) or narrower (AU 18, 23)."""
    mouth_open: float = 0.0
    """Lips apart (AU 25, 26)."""
    teeth: float = 0.0
    cheek_fold: float = 0.0
    """The line from nose to mouth (AU 6, 11)."""


RELAXED = Expression()
EXPRESSIONS = {
    "neutral": RELAXED,
    "angry": Expression(
        brow_inner=-1.0,
        brow_outer=0.35,
        furrow=1.0,
        lid_upper=0.15,
        lid_lower=0.5,
        smile=-0.5,
        mouth_width=-0.1,
        mouth_open=0.35,
        teeth=0.9,
        cheek_fold=0.3,
    ),
    "happy": Expression(
        brow_inner=0.15,
        brow_outer=0.3,
        lid_upper=-0.15,
        lid_lower=0.9,
        smile=1.0,
        mouth_width=0.3,
        mouth_open=0.3,
        teeth=1.0,
        cheek_fold=1.0,
    ),
    "sad": Expression(
        brow_inner=0.95,
        brow_outer=-0.5,
        furrow=0.15,
        lid_upper=-0.4,
        gaze_down=0.7,
        smile=-0.9,
        mouth_width=-0.15,
    ),
}
_SPREAD = 0.12
"""Standard deviation of every movement from one clip to the next: faces at rest differ too."""


def expression_of(emotion: str, strength: float, rng: np.random.Generator) -> Expression:
    """The emotion at ``strength`` (0 to 1), with some chance in every movement."""
    full = EXPRESSIONS[emotion]
    return Expression(
        **{
            field.name: strength * getattr(full, field.name) + _SPREAD * float(rng.normal())
            for field in fields(Expression)
        }
    )


def speaking(expression: Expression, loudness: float, swing: float, blink: float) -> Expression:
    """The expression at one moment.

    Args:
        expression: What the face shows over the clip.
        loudness: Of the voice now, 0 to 1: it opens the mouth.
        swing: Factor near 1 on the whole expression: it comes and goes a little.
        blink: 0 (open) to 1 (lids shut).
    """
    moved = Expression(**{f.name: swing * getattr(expression, f.name) for f in fields(Expression)})
    return replace(
        moved,
        mouth_open=max(0.0, moved.mouth_open) * (0.5 + 0.5 * loudness) + 0.4 * loudness,
        lid_upper=(1 - blink) * (1 + moved.lid_upper) - 1,
    )
