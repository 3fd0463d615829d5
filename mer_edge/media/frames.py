"""Pictures by time: the frame that a viewer sees at time t, from one pass over the video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mer_edge.errors import MerEdgeError
from mer_edge.media.container import open_container
from mer_edge.media.decode import DecodeCount, decode_stream
from mer_edge.media.scan import Scan, StreamSpan, allowed_shortfall_s
from mer_edge.media.upright import Upright

TIME_TOLERANCE_S = 1e-6
"""A time that is a frame's start may be a rounding error below it."""
MAX_STALE_S = 0.5
"""How long a frame may stand for lost ones after it: half a segment."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One frame as it is shown."""

    key: int
    """The same for the same frame, so that what was found in it need not be looked for again."""
    pixels: NDArray[np.uint8]
    """shape = (height, width, 3), RGB, upright, square pixels."""


class FrameSource(Protocol):
    """Frames by time, asked for in order."""

    def picture_at(self, time_s: float) -> Picture | None:
        """The frame shown at ``time_s`` of the media; None before the first and after the last.

        Times must not decrease from call to call.
        """

    def notes(self) -> tuple[str, ...]:
        """What went wrong so far, one sentence each."""

    def check_damage(self) -> None:
        """Raise a MerEdgeError if most of what was read so far could not be decoded."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class _Shown:
    """A decoded frame and since when it is shown, in seconds of the media."""

    number: int
    frame: Any
    start_s: float
    failed_before: int
    """Packets that had failed when this frame came."""


class VideoFrames:
    """The frames of a video stream. Only frames that are asked for become RGB.

    Memory: the decoder's own frames, two more, and one picture, however long the video is.
    """

    def __init__(self, path: Path, scan: Scan) -> None:
        if scan.video is None:
            raise ValueError(f"{path} has no video stream")
        self._path = path
        self._span: StreamSpan = scan.video
        self._promised = scan.declares_duration
        self._origin_s = scan.origin_s
        self._end_s = scan.video.end_s - scan.origin_s
        pixel_aspect, self._frame_s = _stream_facts(path, scan.video.index)
        self._upright = Upright(pixel_aspect)
        self._count = DecodeCount()
        self._frames = decode_stream(path, scan.video.index, self._count)
        self._shown = self._timed()
        self._current: _Shown | None = None
        self._next: _Shown | None = next(self._shown, None)
        if self._next is None:
            self._check_decoded(0.0)
        self._picture: Picture | None = None

    def picture_at(self, time_s: float) -> Picture | None:
        while self._next is not None and self._next.start_s <= time_s + TIME_TOLERANCE_S:
            self._current = self._next
            self._next = next(self._shown, None)
        if self._current is None:
            return None
        if self._next is None:
            self._check_decoded(self._current.start_s + self._frame_s)
            if time_s >= max(self._end_s, self._current.start_s + self._frame_s):
                return None
        if self._is_stale(self._current, time_s):
            return None
        if self._picture is None or self._picture.key != self._current.number:
            pixels = self._upright.rgb(self._current.frame)
            self._picture = Picture(self._current.number, pixels)
        return self._picture

    def notes(self) -> tuple[str, ...]:
        return self._count.note("video")

    def check_damage(self) -> None:
        self._count.check(self._path, "video", self._span.codec)

    def close(self) -> None:
        self._frames.close()

    def _timed(self) -> Iterator[_Shown]:
        time_s = 0.0
        for number, frame in enumerate(self._frames):
            if frame.time is not None:
                time_s = frame.time - self._origin_s
            elif number:
                time_s += self._frame_s
            yield _Shown(number, frame, time_s, self._count.failed)

    def _is_stale(self, shown: _Shown, time_s: float) -> bool:
        """Whether a frame stands only because those after it were lost."""
        failed = self._count.failed > shown.failed_before
        return failed and time_s > shown.start_s + self._frame_s + MAX_STALE_S

    def _check_decoded(self, decoded_s: float) -> None:
        """At the stream's end: whether what was decoded is what the packets promised."""
        if self._count.frames == 0:
            raise MerEdgeError(
                f"{self._path}: none of the {self._count.packets} packets of its video stream "
                f"({self._span.codec}) could be decoded; expected frames; the file is damaged, "
                "copy it again"
            )
        length_s = self._end_s
        if self._promised and decoded_s < length_s - allowed_shortfall_s(length_s):
            raise MerEdgeError(
                f"{self._path}: the video decodes only until {decoded_s:.1f} s of "
                f"{length_s:.1f} s; expected a complete file; it is damaged, copy it again"
            )


def _stream_facts(path: Path, index: int) -> tuple[float, float]:
    """The pixel aspect ratio, and the seconds a frame is shown at the stream's average rate."""
    with open_container(path) as container:
        stream = container.streams[index]
        aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
        rate = stream.average_rate or stream.guessed_rate
        return float(aspect or 1) or 1.0, float(1 / rate) if rate else 0.04
