"""Who speaks and in which mood: the numbers that steer the generated voice.

The mood moves what listeners go by (Juslin and Laukka 2003, table 7): pitch, its range and
contour, tempo, loudness, the slope of the spectrum and roughness.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class Speaker:
    """What stays the same in a person's voice."""

    pitch_hz: float
    tract_scale: float
    """Formants relative to a man's: 1 for men, about 1.17 for women."""
    syllables_per_s: float
    level_dbfs: float
    jitter: float
    """Standard deviation of a pulse's time, in periods."""
    breath: float
    """Level of the noise in the voice, relative to the voice."""


@dataclass(frozen=True)
class Prosody:
    """How a mood differs from a speaker's plain voice."""

    pitch_st: float = 0.0
    """Semitones above the speaker's own pitch."""
    range_st: float = 2.0
    """How far stressed syllables rise, in semitones."""
    slope_st: float = -2.0
    """From the first to the last syllable, in semitones."""
    tempo: float = 1.0
    level_db: float = 0.0
    tilt_db_per_khz: float = 2.0
    """Loss towards high frequencies."""
    jitter: float = 0.0
    breath: float = 0.0


PLAIN = Prosody()
PROSODIES = {
    "neutral": PLAIN,
    "angry": Prosody(4.0, 3.0, -4.0, 1.2, 5.0, -2.0, 0.035, 0.02),
    "happy": Prosody(5.0, 5.0, 3.0, 1.1, 2.5, 1.0, 0.0, 0.0),
    "sad": Prosody(-2.0, 0.7, -3.0, 0.76, -4.0, 5.5, 0.0, 0.04),
}
_SPREAD = Prosody(0.9, 0.6, 1.2, 0.07, 1.5, 1.2, 0.004, 0.01)
"""Standard deviations from one utterance to the next."""


def random_speaker(rng: np.random.Generator) -> Speaker:
    """A man or a woman, evenly."""
    woman = rng.random() < 0.5
    return Speaker(
        pitch_hz=float(rng.uniform(175, 235) if woman else rng.uniform(92, 135)),
        tract_scale=float((1.17 if woman else 1.0) * rng.uniform(0.95, 1.05)),
        syllables_per_s=float(rng.uniform(4.8, 5.8)),
        level_dbfs=float(rng.uniform(-29, -25)),
        jitter=float(rng.uniform(0.004, 0.012)),
        breath=float(rng.uniform(0.01, 0.05)),
    )


def prosody_of(emotion: str, strength: float, rng: np.random.Generator) -> Prosody:
    """The emotion's voice, ``strength`` (0 to 1) of the way from a plain one, with some chance."""
    target = PROSODIES[emotion]
    values = {}
    for field in fields(Prosody):
        plain, full = getattr(PLAIN, field.name), getattr(target, field.name)
        spread = getattr(_SPREAD, field.name) * float(rng.standard_normal())
        values[field.name] = plain + strength * (full - plain) + spread
    return Prosody(**values)
