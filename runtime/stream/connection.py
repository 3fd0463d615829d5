"""One opened source: decoded as it comes, on the stream's time, until it ends or breaks off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av

from mer_edge.media.container import READ_ERRORS, check_room, choose_stream, describe_streams
from mer_edge.media.scan import MAX_CODEC_DELAY_S
from runtime.stream.clock import Drift, Origin, Pacer, StampClock
from runtime.stream.counts import StreamCounts
from runtime.stream.inbox import Inbox
from runtime.stream.lanes import PictureLane, SoundLane
from runtime.stream.source import reason, silence_s

MOST_FAILED_AT_FIRST = 500
"""A source of which so many packets fail before anything decodes is given up."""


class Connection:
    """Reads one container from its start into an inbox.

    Args:
        wanted: which of ``audio`` and ``visual`` somebody needs.
        base_s: the stream's time at the container's first moment.
        pacer: lets frames wait until they would have been recorded; None takes what comes.
        aligns: whether pictures are moved back to the sound where their clocks part; where a
            recording's time stamps are the truth they are not.
    """

    def __init__(
        self,
        container: Any,
        inbox: Inbox,
        counts: StreamCounts,
        wanted: tuple[str, ...],
        *,
        base_s: float = 0.0,
        pacer: Pacer | None = None,
        aligns: bool = True,
    ) -> None:
        self._container = container
        self._counts = counts
        self._inbox = inbox
        self._pacer = pacer
        self._base_s = base_s
        video, audio = (choose_stream(container, kind) for kind in ("video", "audio"))
        origin = _origin([stream for stream in (video, audio) if stream is not None])
        self._sound: SoundLane | None = None
        self._pictures: PictureLane | None = None
        if audio is not None and "audio" in wanted:
            clock = StampClock(origin, base_s, counts)
            self._sound = SoundLane(clock, counts, inbox, self._wait)
        if video is not None and "visual" in wanted:
            clock = StampClock(origin, base_s, counts)
            # A packet of frames may lie before one of sound that was recorded earlier: it must not
            # hold that back, so where there is sound it alone sets the pace.
            wait = self._wait if self._sound is None else _at_once
            self._pictures = PictureLane(video, base_s, clock, counts, inbox, wait)
        lanes = ((video, self._pictures), (audio, self._sound))
        self._streams: list[Any] = [stream for stream, lane in lanes if lane is not None]
        self._drift = Drift() if aligns and self._sound and self._pictures else None
        self._packets, self._failed, self._frames = 0, 0, 0
        self.silent_s = 0.0
        """How long nothing had come when it broke off."""
        self._found = f"{describe_streams(container)} in {container.format.name}"

    @property
    def end_s(self) -> float:
        """Where its sound or its pictures end so far, in the stream's time."""
        lanes = (self._sound, self._pictures)
        return max([self._base_s, *(lane.end_s for lane in lanes if lane is not None)])

    @property
    def gave_packets(self) -> bool:
        """Whether anything came that was to be decoded."""
        return self._packets > 0

    @property
    def gave_frames(self) -> bool:
        """Whether anything was decoded."""
        return self._frames > 0

    def read(self) -> str | None:
        """Put what comes into the inbox until there is no more, and close the container.

        Returns:
            None at the source's own end; else why it broke off, or that nothing could be decoded.

        Raises:
            Closed: nobody takes any more.
        """
        why = None
        try:
            for packet in self._demuxed():
                if isinstance(packet, str):
                    why = packet
                    break
                self._decode(packet)
                if self._failed > MOST_FAILED_AT_FIRST and not self._frames:
                    break
        finally:
            self._container.close()
        if self._sound is not None:
            self._sound.finish()
        if self._pictures is not None:
            self._pictures.finish(self.end_s)
        if why is None and not self._frames:
            why = f"{self._found} without a packet"
            if self._packets:
                why = f"none of {self._packets} packets of {self._found} could be decoded"
        return why

    def _demuxed(self) -> Iterator[Any]:
        """Packets; a string where reading fails, which says why."""
        for stream in self._streams:
            # Threads that decode a frame each would hold back as many frames as there are threads.
            stream.thread_type = "SLICE"
        try:
            yield from self._container.demux(self._streams)
        except IndexError:
            return  # The end, where a stream more was found on the way (READ_ERRORS).
        except READ_ERRORS as error:
            self.silent_s = silence_s(error)
            yield reason(error)

    def _decode(self, packet: Any) -> None:
        self._packets += bool(packet.size)
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError) as error:
            check_room(error, self._container.name)
            self._failed += 1
            self._counts.failed_packets += 1
            return
        for frame in frames:
            self._frames += 1
            self._counts.flawed_frames += bool(frame.is_corrupt)
            if isinstance(frame, av.AudioFrame) and self._sound is not None:
                self._sound.add(frame)
            elif isinstance(frame, av.VideoFrame) and self._pictures is not None:
                self._pictures.add(frame, self._failed)
                self._align()

    def _align(self) -> None:
        """Measure how the pictures' clock runs from the sound's, and follow the sound's."""
        if self._drift is None or self._sound is None or self._pictures is None:
            return
        if self._sound.end_s == float("-inf"):
            return
        self._drift.add(self._sound.end_s, self._pictures.end_s)
        correction_s = self._drift.correction_s()
        self._counts.drift_ms = self._drift.drift_s * 1e3
        if correction_s:
            self._pictures.clock.move(correction_s)
            self._counts.realigned += 1

    def _wait(self, time_s: float) -> None:
        if self._pacer is not None:
            self._inbox.wait_closed(self._pacer.wait_s(time_s))


def _at_once(time_s: float) -> None:
    """Waits for nothing."""


def _origin(streams: list[Any]) -> Origin:
    """Where the first stream starts, as offline, as far as the headers say."""
    starts = [stream.start_time for stream in streams]
    if any(start is None for start in starts):
        return Origin()
    stamp_s = min(float(s.start_time * s.time_base) for s in streams)
    return Origin(0.0 if -MAX_CODEC_DELAY_S < stamp_s < 0 else stamp_s)
