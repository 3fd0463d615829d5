"""Where somebody speaks: Silero VAD, a small network whose file lies beside this one, on ONNX
Runtime. Its origin and licence are in ``silero_vad/``, what it was chosen for in docs/clips.md.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mer_edge.engines import import_onnxruntime, set_threads
from mer_edge.errors import MissingExtraError
from mer_edge.segments import SAMPLE_RATE_HZ, SEGMENT_HOP_SAMPLES

if TYPE_CHECKING:
    import onnxruntime

MODEL = Path(__file__).parent / "silero_vad" / "silero_vad_16k_sequence.onnx"
FRAME_SAMPLES = 512
"""The network looks at 32 ms at a time, 30 times a segment."""
CONTEXT_SAMPLES = 64
"""It sees the end of the frame before, too."""
SPEECH = 0.4
"""Of its probability, from which on a frame is speech (measured: docs/clips.md)."""
MIN_VOICE_S = 0.25
"""So much speech in a segment of 0.96 s, about a syllable, gives the sound a say."""


class VoiceListener:
    """Hears 16 kHz mono sound segment by segment, in order: what came before helps to tell.

    Nothing came before the first segment, which the network therefore hears twice: without that it
    takes the onset of a loud hum for speech, and misses quiet voices.

    Raises:
        MissingExtraError: onnxruntime is not installed.
    """

    def __init__(self) -> None:
        self._session = _session()
        self.restart()

    def restart(self) -> None:
        """Forget what came before: a gap lies between."""
        self._state = [np.zeros((1, 1, 128), np.float32)] * 2
        self._before = np.zeros(CONTEXT_SAMPLES, np.float32)
        self._begins = True

    def speech_s(self, segment: NDArray[np.float32]) -> float:
        """Seconds of speech in the segment that comes.

        Args:
            segment: shape = (at most 15360,), in [-1, 1].
        """
        if len(segment) == 0:
            return 0.0
        if self._begins:
            self._begins = False
            self._probabilities(segment)
        spoken = int(np.count_nonzero(self._probabilities(segment) >= SPEECH))
        return spoken * FRAME_SAMPLES / SAMPLE_RATE_HZ

    def _probabilities(self, segment: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of speech, shape = (frames,); the last frame is filled up with zeros."""
        frames = -(-len(segment) // FRAME_SAMPLES)
        samples = np.zeros(CONTEXT_SAMPLES + frames * FRAME_SAMPLES, np.float32)
        samples[:CONTEXT_SAMPLES] = self._before
        samples[CONTEXT_SAMPLES : CONTEXT_SAMPLES + len(segment)] = segment
        seen = np.lib.stride_tricks.sliding_window_view(samples, CONTEXT_SAMPLES + FRAME_SAMPLES)
        hidden, cell = self._state
        feed = {"input": np.ascontiguousarray(seen[::FRAME_SAMPLES]), "h": hidden, "c": cell}
        found: NDArray[np.float32]
        found, *self._state = self._session.run(["speech_probs", "hn", "cn"], feed)
        self._before = samples[-CONTEXT_SAMPLES:]
        return found

    def voiced_segments(
        self, samples: NDArray[np.float32], sounding: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Which of the segments that come have sound and a voice in it.

        Args:
            samples: shape = (samples,)
            sounding: shape = (segments,): where there is more than digital silence.

        Returns:
            shape = (segments,)
        """
        voiced = np.zeros(len(sounding), np.bool_)
        for i in range(len(sounding)):
            segment = samples[i * SEGMENT_HOP_SAMPLES : (i + 1) * SEGMENT_HOP_SAMPLES]
            voiced[i] = self.speech_s(segment) >= MIN_VOICE_S and sounding[i]
        return voiced


@cache
def _session() -> onnxruntime.InferenceSession:
    """One for all listeners of the process, opened for the first."""
    try:
        onnxruntime = import_onnxruntime()
    except ImportError:
        raise MissingExtraError("finding voices in sound", "onnxruntime", "cpu") from None
    options = onnxruntime.SessionOptions()
    set_threads(options, 1)
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        os.fspath(MODEL), options, providers=["CPUExecutionProvider"]
    )
