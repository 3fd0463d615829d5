"""Clip: one utterance, ready for the model, numpy only. The contract between media and model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_edge.errors import MerEdgeError
from mer_edge.segments import FACE_SIZE_PX, SEGMENT_SAMPLES

PRESENT_AS = {"audio": "sound", "visual": "face", "text": "text"}
"""What a clip that has a modality has, in a user's words."""


@dataclass(frozen=True, eq=False)
class Clip:
    """One utterance of S segments of 0.96 s; an absent modality is data, not an error.

    Raises:
        MerEdgeError: an array has the wrong shape, type or values.
    """

    text: str | None
    """What was said, or None where nothing is known of it."""
    waveform: NDArray[np.float32]
    """shape = (S, 15600), 16 kHz mono in [-1, 1].

    Segment i holds the samples [15360 i, 15360 i + 15600), padded with zeros at the end."""
    faces: NDArray[np.uint8]
    """shape = (S, 224, 224, 3), RGB, aligned by five points with one similarity transform."""
    audio_present: NDArray[np.bool_]
    """shape = (S,)"""
    face_present: NDArray[np.bool_]
    """shape = (S,)"""
    source: str = ""
    """The file the clip comes from, for messages and results."""
    start_s: float = 0.0
    """Where the clip starts in its source."""
    end_s: float = 0.0
    """Where the clip ends in its source."""
    notes: tuple[str, ...] = ()
    """What the user should know of how the clip was made, one sentence each."""

    def __post_init__(self) -> None:
        count = len(self.waveform)
        expected: dict[str, tuple[tuple[int, ...], type]] = {
            "waveform": ((count, SEGMENT_SAMPLES), np.float32),
            "faces": ((count, FACE_SIZE_PX, FACE_SIZE_PX, 3), np.uint8),
            "audio_present": ((count,), np.bool_),
            "face_present": ((count,), np.bool_),
        }
        if count < 1:
            raise MerEdgeError(f"{self.source or 'clip'}: no segment; expected at least one")
        for name, (shape, dtype) in expected.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != dtype:
                raise MerEdgeError(
                    f"{self.source or 'clip'}: {name} is {array.dtype} {array.shape}; "
                    f"expected {np.dtype(dtype)} {shape}"
                )
        if not np.isfinite(self.waveform).all():
            raise MerEdgeError(
                f"{self.source or 'clip'}: the waveform has NaN or infinite samples; "
                "expected finite values in [-1, 1]"
            )

    @property
    def segments(self) -> int:
        """S, the number of 0.96 s segments."""
        return len(self.waveform)

    @property
    def has_audio(self) -> bool:
        return bool(self.audio_present.any())

    @property
    def has_face(self) -> bool:
        return bool(self.face_present.any())

    def has(self, modality: str) -> bool:
        """Whether there is anything of ``audio``, ``visual`` or ``text``."""
        return {
            "audio": self.has_audio,
            "visual": self.has_face,
            "text": self.text is not None,
        }[modality]


def text_clip(text: str, source: str = "") -> Clip:
    """A clip of text alone: one segment without sound and without a face."""
    return Clip(
        text=text,
        waveform=np.zeros((1, SEGMENT_SAMPLES), np.float32),
        faces=np.zeros((1, FACE_SIZE_PX, FACE_SIZE_PX, 3), np.uint8),
        audio_present=np.zeros(1, np.bool_),
        face_present=np.zeros(1, np.bool_),
        source=source,
    )


@dataclass(frozen=True, eq=False)
class PreparedClip:
    """A clip, and for training several face crops per segment."""

    clip: Clip
    """Its faces are the middle crop of each segment."""
    crops: NDArray[np.uint8]
    """shape = (S, K, 224, 224, 3)"""
    crops_present: NDArray[np.bool_]
    """shape = (S, K)"""
