"""What is said when, and the text encoder's answer, asked for once per text."""

from __future__ import annotations

import numpy as np

from mer_edge.clip import Clip
from mer_edge.segments import FACE_SIZE_PX, SEGMENT_SAMPLES
from mer_edge.text.utf8 import one_spaced
from runtime.chain import Chain, Stopwatch
from runtime.texts import EncodedText


class TextTimeline:
    """Texts by the time from which they hold."""

    def __init__(self) -> None:
        self._texts: list[tuple[float, str | None]] = []

    def set(self, text: str | None, from_s: float) -> None:
        """``text`` holds from ``from_s`` on; what was to hold later is forgotten.

        Raises:
            MerEdgeError: there are no words in it.
        """
        said = None if text is None else one_spaced(text, "the stream's text")
        self._texts = [(time_s, old) for time_s, old in self._texts if time_s < from_s]
        self._texts.append((from_s, said))

    def at(self, end_s: float) -> str | None:
        """The text of a window that ends at ``end_s``: the newest that began before its end.

        Ends must not decrease from call to call.
        """
        while len(self._texts) > 1 and self._texts[1][0] < end_s:
            self._texts.pop(0)
        if not self._texts or self._texts[0][0] >= end_s:
            return None
        return self._texts[0][1]


class TextEncoder:
    """Runs the text graph only when the text is another than the last one."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._last: tuple[str | None, EncodedText] | None = None

    def encode(self, text: str | None, watch: Stopwatch) -> EncodedText:
        """The same object for the same text.

        Raises:
            MerEdgeError: the engine failed.
        """
        if self._last is None or self._last[0] != text:
            encoded = self._chain.encode_texts([_clip_of(text)], watch)
            self._last = text, encoded
        return self._last[1]

    def knows(self, text: str | None) -> bool:
        """Whether ``text`` is the last one."""
        return self._last is not None and self._last[0] == text


def _clip_of(text: str | None) -> Clip:
    """A clip that has nothing but a text, for the text side of the chain."""
    absent = np.zeros(1, np.bool_)
    return Clip(
        text=text,
        waveform=np.zeros((1, SEGMENT_SAMPLES), np.float32),
        faces=np.zeros((1, FACE_SIZE_PX, FACE_SIZE_PX, 3), np.uint8),
        audio_present=absent,
        face_present=absent,
    )
