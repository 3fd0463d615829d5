"""The last N segments and the decision on them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mer_edge.clip import Clip
from mer_edge.segments import FACE_SIZE_PX, SEGMENT_HOP_SAMPLES, SEGMENT_S, SEGMENT_SAMPLES
from runtime.chain import Chain, ChainOutput, Stopwatch
from runtime.stream.faces import FaceChooser, SeenFaces
from runtime.stream.pictures import Picture, middle_s
from runtime.stream.signals import Signal, SignalEncoder
from runtime.stream.texts import TextEncoder
from runtime.texts import EncodedText

TAIL_SAMPLES = SEGMENT_SAMPLES - SEGMENT_HOP_SAMPLES
"""240: what a segment needs of the sound after it. The newest has zeros there, like the last of a
clip, and is encoded once more with the real samples when the next one is there."""


@dataclass(eq=False)
class Segment:
    """One segment of 0.96 s, with all that is known of it."""

    index: int
    seen: SeenFaces = field(default_factory=SeenFaces)
    looked: bool = False
    """Whether its picture was looked at, or is known to be missing."""
    sound: Signal | None = None
    """None where there is no sound for a quarter of it."""
    samples: NDArray[np.float32] = field(
        default_factory=lambda: np.zeros(SEGMENT_SAMPLES, np.float32)
    )
    """shape = (15600,)"""

    def hear(self, samples: NDArray[np.float32], present: bool) -> None:
        """Its own part of the sound, at most 15360 samples."""
        self.samples[: len(samples)] = samples
        self.sound = Signal(self.samples) if present else None

    def complete(self, tail: NDArray[np.float32]) -> None:
        """The 240 samples that follow it; a segment without sound of its own stays absent."""
        if np.array_equal(self.samples[SEGMENT_HOP_SAMPLES:], tail):
            return
        # A new array: the old one may be on its way into an engine, and the features are of it.
        self.samples = np.concatenate([self.samples[:SEGMENT_HOP_SAMPLES], tail])
        if self.sound is not None:
            self.sound = Signal(self.samples)


class Window:
    """Sliding window of segments over one chain.

    Args:
        size: N, segments.
        chooser: finds the faces; None where the bundle looks at none.
        most: segments that one run of an encoder takes.
    """

    def __init__(self, chain: Chain, size: int, chooser: FaceChooser | None, most: int) -> None:
        self._chain = chain
        self._chooser = chooser
        self._encoder = SignalEncoder(chain, most)
        self._texts = TextEncoder(chain)
        self._segments: deque[Segment] = deque(maxlen=size)
        self._coming = Segment(0)
        self.watch = Stopwatch()
        """What was spent since the last decision."""

    @property
    def coming(self) -> Segment:
        """The segment that is not at its end yet; its picture may be known."""
        return self._coming

    @property
    def last(self) -> Segment | None:
        """The newest segment of the window."""
        return self._segments[-1] if self._segments else None

    def restart(self, index: int) -> None:
        """Forget all segments; ``index`` is the next one."""
        self._segments.clear()
        self._coming = Segment(index)

    def look(self, picture: Picture | None) -> None:
        """Find the faces in the picture of the coming segment."""
        self._coming.looked = True
        if picture is not None and self._chooser is not None:
            with self.watch.time("media"):
                self._coming.seen = self._chooser.look(picture, middle_s(self._coming.index))

    def close(self, samples: NDArray[np.float32], present: bool) -> None:
        """The coming segment is at its end; the oldest one leaves a full window.

        Args:
            samples: shape = (at most 15360,), its sound.
        """
        if self._segments and len(samples) >= TAIL_SAMPLES:
            self._segments[-1].complete(samples[:TAIL_SAMPLES])
        self._coming.hear(samples, present)
        self._segments.append(self._coming)
        self._coming = Segment(self._coming.index + 1)

    def sound(self) -> NDArray[np.float32]:
        """The window's samples, shape = (15360 N,)."""
        parts = [segment.samples[:SEGMENT_HOP_SAMPLES] for segment in self._segments]
        return np.concatenate(parts)

    def work_ahead(self, text: str | None) -> bool:
        """Encode what the next decision will need and is known already; whether there was any.

        Raises:
            MerEdgeError: the engine failed.
        """
        knew = self._texts.knows(text)
        encoded = self._texts.encode(text, self.watch)
        size = self._segments.maxlen or 1
        kept = [*self._segments][1 if len(self._segments) == size else 0 :]
        ran = self._encode(self._signals([*kept, self._coming]), encoded)
        return ran or not knew

    def decide(self, text: str | None) -> tuple[ChainOutput, Clip]:
        """The network's output on the window, and the clip that the window is.

        The clip's times are those of whole segments; its source and notes are for the caller.

        Raises:
            MerEdgeError: the engine failed, or its outputs are not finite.
        """
        encoded = self._texts.encode(text, self.watch)
        segments = list(self._segments)
        signals = self._signals(segments)
        self._encode(signals, encoded)
        masks = {
            name: np.array([[signal is not None for signal in signals[name]]])
            for name in self._chain.encoders
        }
        with self.watch.time("fusion"):
            features = {
                name: self._chain.place(
                    name, [s.features for s in signals[name] if s and s.features is not None], mask
                )
                for name, mask in masks.items()
            }
            output = self._chain.fuse(features, masks, encoded)
        return output, _as_clip(text, segments, signals["visual"])

    def _encode(self, signals: Mapping[str, Sequence[Signal | None]], text: EncodedText) -> bool:
        ran = False
        for name in self._chain.encoders:
            with self.watch.time(name):
                present = [signal for signal in signals[name] if signal is not None]
                ran |= self._encoder.encode(name, present, text)
        return ran

    def _signals(self, segments: Sequence[Segment]) -> dict[str, list[Signal | None]]:
        faces: list[Signal | None] = [None] * len(segments)
        if self._chooser is not None:
            faces = self._chooser.choose([segment.seen for segment in segments])
        return {"audio": [segment.sound for segment in segments], "visual": faces}


def _as_clip(text: str | None, segments: Sequence[Segment], faces: Sequence[Signal | None]) -> Clip:
    crops = np.zeros((len(segments), FACE_SIZE_PX, FACE_SIZE_PX, 3), np.uint8)
    for crop, face in zip(crops, faces, strict=True):
        if face is not None:
            crop[:] = face.values
    return Clip(
        text=text,
        waveform=np.stack([segment.samples for segment in segments]),
        faces=crops,
        audio_present=np.array([segment.sound is not None for segment in segments]),
        face_present=np.array([face is not None for face in faces]),
        start_s=segments[0].index * SEGMENT_S,
        end_s=(segments[-1].index + 1) * SEGMENT_S,
    )
