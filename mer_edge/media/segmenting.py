"""Samples of a clip laid out on the grid of 0.96 s segments."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer_edge.segments import SEGMENT_HOP_SAMPLES, SEGMENT_SAMPLES

MIN_COVERED_SHARE = 0.25
"""Sound for a quarter of a segment (0.24 s, a syllable) counts as sound."""

SILENT_RANGE = 4 / 32768
"""Samples that differ by no more than this, four steps of 16 bits, are digital silence: a muted
track, with or without dither. The noise of a real microphone is larger."""


def segment_waveform(samples: NDArray[np.float32], segments: int) -> NDArray[np.float32]:
    """Segment i is the samples [15360 i, 15360 i + 15600), zeros after the end.

    Args:
        samples: shape = (samples,), the clip's 16 kHz mono sound.

    Returns:
        shape = (segments, 15600), contiguous.
    """
    wanted = (segments - 1) * SEGMENT_HOP_SAMPLES + SEGMENT_SAMPLES
    padded = np.zeros(wanted, np.float32)
    length = min(wanted, len(samples))
    padded[:length] = samples[:length]
    windows = np.lib.stride_tricks.sliding_window_view(padded, SEGMENT_SAMPLES)
    cut: NDArray[np.float32] = windows[::SEGMENT_HOP_SAMPLES].copy()
    return cut


def covered_segments(covered: NDArray[np.bool_], segments: int) -> NDArray[np.bool_]:
    """Which segments have sound for at least a quarter of their part of the clip.

    Args:
        covered: shape = (samples,), where the clip has sound.

    Returns:
        shape = (segments,)
    """
    present = np.zeros(segments, np.bool_)
    for i in range(segments):
        part = covered[i * SEGMENT_HOP_SAMPLES : (i + 1) * SEGMENT_HOP_SAMPLES]
        present[i] = len(part) > 0 and part.mean() >= MIN_COVERED_SHARE
    return present


def sounding_segments(
    samples: NDArray[np.float32], covered: NDArray[np.bool_], segments: int
) -> NDArray[np.bool_]:
    """Which segments have sound, as :func:`covered_segments`, that is not digital silence.

    Args:
        samples: shape = (samples,), the clip's 16 kHz mono sound.
        covered: shape = (samples,), where the clip has sound.

    Returns:
        shape = (segments,)
    """
    present = covered_segments(covered, segments)
    for i in np.flatnonzero(present):
        part = slice(i * SEGMENT_HOP_SAMPLES, (i + 1) * SEGMENT_HOP_SAMPLES)
        heard = samples[part][covered[part]]
        present[i] = np.ptp(heard) > SILENT_RANGE
    return present
