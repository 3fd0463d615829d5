"""Sound in arrays as FFmpeg's frames, so that it is resampled by the same code as a file's."""

from __future__ import annotations

import math
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from mer_edge.errors import MerEdgeError

FORMATS = {"float32": "fltp", "float64": "dblp", "int16": "s16p", "int32": "s32p"}
"""FFmpeg's planar sample format for an array's type."""
LONGEST_LEAP_S = 3600.0
"""More would be thousands of decisions on nothing before the next one on something."""
MOST_CHANNELS = 64
"""What FFmpeg's layouts can name. Of (samples, channels), as sound libraries give it, the samples
would be taken for channels."""


def check_time(name: str, time_s: float, now_s: float) -> None:
    """Times count in seconds from the stream's beginning.

    Args:
        now_s: where the stream is; a clock of its own shows by running far ahead of it.

    Raises:
        MerEdgeError: no number, or ``LONGEST_LEAP_S`` and more ahead.
    """
    if not math.isfinite(time_s) or time_s - now_s >= LONGEST_LEAP_S:
        raise MerEdgeError(
            f"found {name} {time_s} where the stream is at {now_s:.2f} s; expected seconds from "
            "its beginning; subtract the time at which it began, or call restart(at_s) after a gap"
        )


def audio_frame(samples: NDArray[Any], rate_hz: int, layout: str = "") -> av.AudioFrame:
    """One frame of sound.

    Args:
        samples: shape = (samples,) or (channels, samples), of a type in ``FORMATS``.
        rate_hz: 1 or more.
        layout: FFmpeg's name of the channels' layout; empty for mono or stereo, and for more
            channels, which are then mixed with equal weights.

    Raises:
        MerEdgeError: another shape or type, or a layout that is not known or has other channels.
    """
    planes = np.atleast_2d(np.asarray(samples))
    if planes.ndim != 2 or planes.dtype.name not in FORMATS or planes.size == 0:
        raise MerEdgeError(
            f"found sound of the type {planes.dtype} and the shape {np.shape(samples)}; expected "
            f"(samples,) or (channels, samples) of {', '.join(FORMATS)}"
        )
    if rate_hz < 1:
        raise MerEdgeError(f"found a sample rate of {rate_hz} Hz; expected 1 Hz or more")
    channels = len(planes)
    if channels > MOST_CHANNELS:
        raise MerEdgeError(
            f"found sound of the shape {np.shape(samples)}, which is {channels} channels; expected "
            f"(samples,) or (channels, samples), at most {MOST_CHANNELS} of them; pass samples.T"
        )
    if not layout and channels > 2:
        planes = _mean(planes)
        channels = 1
    layout = layout or ("mono" if channels == 1 else "stereo")
    try:
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(planes), format=FORMATS[planes.dtype.name], layout=layout
        )
    except ValueError as error:
        raise MerEdgeError(
            f"found {channels} channels as the layout '{layout}' ({error}); expected a layout of "
            "FFmpeg with as many channels, such as mono, stereo or 5.1"
        ) from error
    frame.sample_rate = int(rate_hz)
    return frame


def _mean(planes: NDArray[Any]) -> NDArray[np.float32]:
    scale = 1.0 if planes.dtype.kind == "f" else -float(np.iinfo(planes.dtype).min)
    mixed: NDArray[np.float32] = (planes.mean(axis=0, keepdims=True) / scale).astype(np.float32)
    return mixed
