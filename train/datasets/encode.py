"""Writing a clip as people's cameras do: an mp4 file with H.264 pictures and AAC sound."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from mer_edge.segments import SAMPLE_RATE_HZ

# One thread: with more of them x264 may cut the work, and so the file, another way.
VIDEO_OPTIONS = {"preset": "ultrafast", "crf": "25", "threads": "1", "tune": "zerolatency"}
AUDIO_BIT_RATE = 48_000
AAC_FRAME_SAMPLES = 1024


def write_mp4(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    frame_rate_hz: int,
    waveform: NDArray[np.float32],
) -> None:
    """Encode a clip; the same input gives the same bytes on the same machine.

    Args:
        path: Where to; an existing file is replaced.
        frames: RGB, shape = (height, width, 3) each, even sides.
        frame_rate_hz: Of the frames.
        waveform: shape = (samples,), 16 kHz mono in [-1, 1].
    """
    # Without "bitexact" the file would name the library's version.
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        audio = container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
        audio.bit_rate = AUDIO_BIT_RATE
        video = container.add_stream("libx264", rate=frame_rate_hz, options=VIDEO_OPTIONS)
        video.pix_fmt = "yuv420p"
        for index, picture in enumerate(frames):
            if index == 0:
                video.height, video.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, frame_rate_hz)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for start in range(0, len(waveform), AAC_FRAME_SAMPLES):
            piece = waveform[None, start : start + AAC_FRAME_SAMPLES]
            sound = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
            sound.sample_rate, sound.pts = SAMPLE_RATE_HZ, start
            sound.time_base = Fraction(1, SAMPLE_RATE_HZ)
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
