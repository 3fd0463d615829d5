"""Pictures by time: the frame that a viewer sees at time t, from one pass over the video."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mer_edge.errors import MerEdgeError
from mer_edge.media.decode import DecodeCount
from mer_edge.media.lookahead import TIME_TOLERANCE_S as TIME_TOLERANCE_S
from mer_edge.media.passed_over import MAX_STALE_S as MAX_STALE_S
from mer_edge.media.scan import Scan, StreamSpan, allowed_shortfall_s
from mer_edge.media.selective import SelectiveDecoder
from mer_edge.media.upright import Upright


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

    def pictures_at(self, times_s: Sequence[float]) -> Iterator[Picture | None]:
        """As :meth:`picture_at` for each of ``times_s``, which is less work than one by one."""

    def notes(self) -> tuple[str, ...]:
        """What went wrong so far, one sentence each."""

    def check_damage(self) -> None:
        """Raise a MerEdgeError if most of what was read so far could not be decoded."""

    def close(self) -> None: ...


@dataclass(frozen=True, eq=False)
class _Shown:
    """A decoded frame and since when it is shown, in seconds of the media."""

    number: int
    frame: Any
    start_s: float
    failed_before: int
    """Packets that had failed when this frame came."""


class VideoFrames:
    """The frames of a video stream. Only what is asked for is decoded and becomes RGB.

    Memory: the decoder's own frames, two more, one picture, and the packets between two times that
    are asked for, however long the video is.
    """

    def __init__(self, path: Path, scan: Scan, hwaccel: str | None = None) -> None:
        if scan.video is None:
            raise ValueError(f"{path} has no video stream")
        self._path = path
        self._span: StreamSpan = scan.video
        self._promised = scan.declares_duration
        self._origin_s = scan.origin_s
        self._end_s = scan.video.end_s - scan.origin_s
        self._frame_s = scan.video.frame_s
        self._upright = Upright(scan.video.pixel_aspect)
        self._count = DecodeCount()
        self._decoder = SelectiveDecoder(path, scan.video, scan.origin_s, self._count, hwaccel)
        self._packets = self._decoder.lookahead
        self._current: _Shown | None = None
        self._next: _Shown | None = None
        self._frames = 0
        self._time_s = 0.0
        self._picture: Picture | None = None

    def picture_at(self, time_s: float) -> Picture | None:
        return next(self.pictures_at([time_s]))

    def pictures_at(self, times_s: Sequence[float]) -> Iterator[Picture | None]:
        """See ``FrameSource``: what is shown between the times is not decoded, where it can be."""
        for number, time_s in enumerate(times_s):
            yield self._picture_at(time_s, times_s[number:])

    def _picture_at(self, time_s: float, times_s: Sequence[float]) -> Picture | None:
        while not self._packets.read_past(time_s):
            self._decoder.decode_next(times_s)
            self._decoder.discard()
            self._next = None
        wanted_s = self._packets.start_at(time_s)
        if wanted_s is None and not self._packets.dense:
            return None
        is_last = wanted_s is not None and self._packets.is_last(wanted_s)
        if is_last and self._is_over(wanted_s or 0.0, time_s):
            return None
        self._advance(time_s, times_s, wanted_s)
        if not self._is_wanted(self._current, wanted_s) and not self._stands(time_s, wanted_s):
            return None
        return self._converted()

    def _stands(self, time_s: float, wanted_s: float | None) -> bool:
        """Whether the current frame is shown at ``time_s`` though it is not the one wanted."""
        if self._next is None and self._decoder.ended:
            decoded_s = 0.0 if self._current is None else self._current.start_s + self._frame_s
            self._check_decoded(decoded_s)
            if self._current is None or self._is_over(self._current.start_s, time_s):
                return False
        return self._current is not None and not self._is_stale(self._current, time_s, wanted_s)

    def _converted(self) -> Picture | None:
        if self._current is None:
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
        self._decoder.close()

    def _advance(self, time_s: float, times_s: Sequence[float], wanted_s: float | None) -> None:
        """Go on until the current frame is the one shown at ``time_s``, as far as it decodes."""
        if self._decoder.follow_jump():
            self._next = None
        failed_before = self._count.failed
        while not self._is_wanted(self._current, wanted_s):
            if self._next is None:
                self._next = self._decode(times_s)
            if self._next is None or self._next.start_s > time_s + TIME_TOLERANCE_S:
                break
            self._current, self._next = self._next, None
        else:
            return
        if wanted_s is not None and self._count.failed == failed_before:
            # This stream's packets are not its frames one by one (fields, hidden frames).
            self._packets.dense = True

    def _decode(self, times_s: Sequence[float]) -> _Shown | None:
        frame = self._decoder.next_frame(times_s)
        if frame is None:
            return None
        if frame.time is not None:
            self._time_s = frame.time - self._origin_s
        elif self._frames:
            self._time_s += self._frame_s
        self._frames += 1
        return _Shown(self._frames, frame, self._time_s, self._count.failed)

    def _is_wanted(self, shown: _Shown | None, wanted_s: float | None) -> bool:
        if shown is None or wanted_s is None:
            return False
        return shown.start_s >= wanted_s - TIME_TOLERANCE_S

    def _is_stale(self, shown: _Shown, time_s: float, wanted_s: float | None) -> bool:
        """Whether a frame stands only because those after it were lost."""
        lost = wanted_s is not None or self._count.failed > shown.failed_before
        return lost and time_s > shown.start_s + self._frame_s + MAX_STALE_S

    def _is_over(self, last_s: float, time_s: float) -> bool:
        """Whether ``time_s`` is after the video's end, its last frame shown from ``last_s`` on."""
        return time_s >= max(self._end_s, last_s + self._frame_s)

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
