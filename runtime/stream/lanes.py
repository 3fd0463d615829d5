"""Decoded frames of one kind on their way into the inbox: sound, and pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_edge.media.sound import Chunk
from mer_edge.media.upright import Upright
from mer_edge.segments import SEGMENT_S
from runtime.stream.clock import StampClock
from runtime.stream.counts import StreamCounts
from runtime.stream.inbox import Inbox, PictureItem, SeenItem, SoundItem, now_s
from runtime.stream.pictures import MiddlePicker
from runtime.stream.sound import SoundRuns

Wait = Callable[[float], None]
"""Waits until the stream's time is that, where a source is paced."""


@dataclass(frozen=True, eq=False)
class DecodedPicture:
    """A frame as the decoder has it; it becomes RGB where it is looked at."""

    frame: Any
    upright: Upright

    def rgb(self) -> NDArray[np.uint8]:
        """See ``runtime.stream.pictures.Picture``."""
        return self.upright.rgb(self.frame)


class SoundLane:
    """Sound, resampled and put on the stream's time."""

    def __init__(self, clock: StampClock, counts: StreamCounts, inbox: Inbox, wait: Wait) -> None:
        self._clock = clock
        self._runs = SoundRuns(counts)
        self._inbox = inbox
        self._wait = wait
        self.end_s = float("-inf")
        """Where the newest frame ends."""

    def add(self, frame: Any) -> None:
        """An ``av.AudioFrame``.

        Raises:
            Closed: nobody takes any more.
        """
        length_s = frame.samples / frame.sample_rate
        at_s = self._clock.time_s(frame.time, length_s)
        self.end_s = at_s + length_s
        self._wait(self.end_s)
        self._put(self._runs.add(frame, at_s))

    def finish(self) -> None:
        """Put what the resampler still holds."""
        self._put(self._runs.finish())

    def _put(self, chunks: list[Chunk]) -> None:
        for chunk in chunks:
            self._inbox.put(SoundItem(chunk, now_s()))


class PictureLane:
    """Pictures; only those of the middles of segments go on.

    Args:
        stream: of the container; says how the pixels and the rate are.
        base_s: the stream's time at which this source begins.
    """

    def __init__(
        self,
        stream: Any,
        base_s: float,
        clock: StampClock,
        counts: StreamCounts,
        inbox: Inbox,
        wait: Wait,
    ) -> None:
        self._stream = stream
        self.clock = clock
        self._counts = counts
        self._inbox = inbox
        self._wait = wait
        rate = stream.average_rate or stream.guessed_rate
        self._frame_s = float(1 / rate) if rate else 0.04
        self._picker: MiddlePicker[DecodedPicture] = MiddlePicker(segment_from(base_s))
        self._size: tuple[int, int] | None = None
        self._upright = Upright()
        self._told_s = float("-inf")
        self.end_s = float("-inf")
        """Where the newest frame would end."""

    def add(self, frame: Any, failed: int) -> None:
        """An ``av.VideoFrame``; ``failed`` packets could not be decoded so far.

        Raises:
            Closed: nobody takes any more.
        """
        at_s = self.clock.time_s(frame.time, self._frame_s)
        self._wait(at_s)
        self._follow_size(frame)
        self.end_s = at_s + self._frame_s
        picture = DecodedPicture(frame, self._upright)
        self._put(self._picker.add(picture, at_s, self._frame_s, failed))
        # Once a segment is enough: it tells those who have no sound when a segment ends.
        if int(at_s / SEGMENT_S) != int(max(self._told_s, -1.0) / SEGMENT_S):
            self._told_s = at_s
            self._inbox.put(SeenItem(at_s))

    def finish(self, end_s: float) -> None:
        """The pictures until ``end_s``: the last frame is shown as long as its own time says."""
        self._put(self._picker.settle(segment_from(end_s) - 1, hold_s=0.0))
        self._inbox.put(SeenItem(self.end_s))

    def _put(self, known: list[tuple[int, DecodedPicture | None]]) -> None:
        for segment, picture in known:
            self._inbox.put(PictureItem(segment, picture))

    def _follow_size(self, frame: Any) -> None:
        size = (frame.width, frame.height)
        if size == self._size:
            return
        self._counts.changes += self._size is not None
        self._size = size
        context = self._stream.codec_context
        aspect = context.sample_aspect_ratio or self._stream.sample_aspect_ratio
        self._upright = Upright(float(aspect or 1) or 1.0)


def segment_from(time_s: float) -> int:
    """The first segment that begins at ``time_s`` or later."""
    return int(np.ceil(time_s / SEGMENT_S - 1e-9))
