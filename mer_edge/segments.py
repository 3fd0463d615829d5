"""The time grid that every modality shares: segments of 0.96 s (paper, section 3.1; VGGish)."""

from __future__ import annotations

SAMPLE_RATE_HZ = 16_000
SEGMENT_HOP_SAMPLES = 15_360
"""0.96 s: segment i starts at sample 15360 * i."""
SEGMENT_SAMPLES = 15_600
"""0.975 s: 96 log-mel frames of 25 ms every 10 ms, (96 - 1) * 160 + 400 samples."""
SEGMENT_S = SEGMENT_HOP_SAMPLES / SAMPLE_RATE_HZ
FACE_SIZE_PX = 224
"""Side of an aligned face crop."""
MODALITIES = ("audio", "visual", "text")
"""The order of the three decisions and their weights everywhere."""


def segment_count(duration_s: float) -> int:
    """Segments of a clip that lasts ``duration_s`` seconds: max(1, round(duration / 0.96)).

    Halves round up, so that the count does not depend on Python's banker's rounding.

    >>> [segment_count(d) for d in (0.0, 0.96, 1.44, 3.0)]
    [1, 1, 2, 3]
    """
    return max(1, int(duration_s / SEGMENT_S + 0.5))
