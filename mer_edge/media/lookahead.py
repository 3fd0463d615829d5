"""Packets of a video read a little ahead, to tell which of them must be decoded.

Of a frame a segment that is looked at, a decoder makes 24 frames in vain. Most of that can be left
out without changing what is seen: frames that no other frame refers to, and whatever lies before
the last frame at which decoding can start afresh. Both need to be known before decoding, and the
packets' time stamps say it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from mer_edge.media.restarts import Restarts

TIME_TOLERANCE_S = 1e-6
"""A time that is a frame's start may be a rounding error below it."""
SKIPPING_CODECS = frozenset({"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4"})
"""Codecs whose packets are one shown frame each and whose decoders can leave out frames that no
other frame refers to."""
MAX_HELD_BYTES = 32 << 20
"""Packets held while the next time that is looked at is far away: ten seconds at 25 Mbit/s."""
MAX_STARTS = 512
MAX_UNDATED = 32
"""Packets in a row without a decoding time stamp, twice as many as any codec reorders."""


@dataclass(frozen=True, eq=False)
class VideoPacket:
    """A packet and when its frame is shown, in seconds of the media."""

    packet: Any
    start_s: float | None
    """None where the packet does not say, or its frame is not to be shown."""
    restarts: bool
    """Whether decoding can start here."""


class Lookahead:
    """The packets of one stream in the order of decoding.

    Memory: the packets up to the next time that is asked for, at most ``MAX_HELD_BYTES`` of them.
    A stream whose packets lack time stamps, or have them out of order, is ``dense``: nothing of it
    can be left out.
    """

    def __init__(self, packets: Iterator[Any], stream: Any, origin_s: float) -> None:
        self._packets = packets
        self._restarts = Restarts(stream)
        self._skips = stream.codec_context.name in SKIPPING_CODECS
        base = stream.time_base or Fraction(0)
        self._ticks, self._per_s = base.numerator, base.denominator
        self._origin_s = origin_s
        self._held: deque[VideoPacket] = deque()
        self._held_bytes = 0
        self._starts: list[float] = []
        self._read_to_s = float("-inf")
        self._shown_from_s = float("-inf")
        self._undated = 0
        self.dense = not self._ticks
        self.ended = False
        self.jumped = False
        """Whether packets were left out since this was last set to False; the decoder must be
        flushed before it goes on."""

    def read_past(self, time_s: float) -> bool:
        """Read until the frame shown at ``time_s`` is known, and drop what need not be decoded.

        Returns:
            False where too much would be held: decode the packet that ``pop`` gives, call again.
        """
        while not (self.dense or self.ended or self._read_to_s > time_s + TIME_TOLERANCE_S):
            if self._held_bytes > MAX_HELD_BYTES:
                self._drop_before_restart(time_s)
                if self._held_bytes > MAX_HELD_BYTES:
                    return False
            if len(self._starts) > MAX_STARTS:
                self._forget_before(time_s)
            self._read()
        self._drop_before_restart(time_s)
        self._forget_before(time_s)
        return True

    def start_at(self, time_s: float) -> float | None:
        """Since when the frame shown at ``time_s`` is shown; None: nothing is, or not known."""
        after = bisect_right(self._starts, time_s + TIME_TOLERANCE_S)
        return self._starts[after - 1] if after and not self.dense else None

    def is_last(self, start_s: float) -> bool:
        """Whether no frame is shown after the one that is shown from ``start_s`` on."""
        return self.ended and not self.dense and start_s >= self._starts[-1]

    def pop(self) -> VideoPacket | None:
        """The next packet to decode; None at the end of the stream."""
        while not self._held and not self.ended:
            self._read()
        if not self._held:
            return None
        item = self._held.popleft()
        self._held_bytes -= item.packet.size
        return item

    def restarts_next(self) -> bool:
        """Whether all that ``pop`` gives from here on can be decoded without what was before."""
        return not self._restarts.leading and bool(self._held) and self._held[0].restarts

    def is_looked_at(self, item: VideoPacket, times_s: Sequence[float]) -> bool:
        """Whether the packet's frame may be shown at one of ``times_s`` (in order) or later."""
        if self.dense or not self._skips:
            return True
        if item.start_s is None:
            return False
        number = bisect_left(times_s, item.start_s - TIME_TOLERANCE_S)
        if number == len(times_s):
            return True
        until_s = times_s[number] + TIME_TOLERANCE_S
        while not self._is_followed(item.start_s, until_s):
            if self.ended or self.dense or self._read_to_s > until_s:
                return True
            if self._held_bytes > MAX_HELD_BYTES:
                return True
            self._read()
        return False

    def _is_followed(self, start_s: float, until_s: float) -> bool:
        after = bisect_right(self._starts, start_s)
        return after < len(self._starts) and self._starts[after] <= until_s

    def _read(self) -> None:
        packet = next(self._packets, None)
        if packet is None or not packet.size:
            self.ended = packet is None
            return
        start_s = self._start_of(packet)
        if start_s is not None and start_s < self._shown_from_s:
            return  # Refers to what was left out; shown before what is looked at.
        if start_s is not None and not self.dense:
            insort(self._starts, start_s)
        self._held.append(VideoPacket(packet, start_s, self._restarts.at(packet)))
        self._held_bytes += packet.size

    def _start_of(self, packet: Any) -> float | None:
        self._note_order(packet)
        if packet.pts is None:
            self.dense = True
            return None
        if getattr(packet, "is_discard", False):
            return None
        return self._seconds(packet.pts)

    def _seconds(self, stamp: int) -> float:
        # As PyAV reckons a frame's time, so that the two are equal.
        return float(stamp) * self._ticks / self._per_s - self._origin_s

    def _note_order(self, packet: Any) -> None:
        """Nothing that comes later is shown before this packet's decoding time."""
        if packet.dts is None:  # Matroska does not store it: FFmpeg reckons it after a few.
            self._undated += 1
            self.dense |= self._undated > MAX_UNDATED
            return
        self._undated = 0
        read_to_s = self._seconds(packet.dts)
        late = packet.pts is not None and packet.pts < packet.dts
        self.dense |= late or read_to_s < self._read_to_s
        self._read_to_s = read_to_s

    def _drop_before_restart(self, time_s: float) -> None:
        """Drop what lies before the last packet at which the frame at ``time_s`` can be reached."""
        if self.dense:
            return
        last = 0
        for number, item in enumerate(self._held):
            in_time = item.start_s is not None and item.start_s <= time_s + TIME_TOLERANCE_S
            if item.restarts and in_time:
                last = number
        if not last:
            return
        from_s = self._held[last].start_s or 0.0
        kept = [item for item in list(self._held)[last:] if (item.start_s or from_s) >= from_s]
        self._held = deque(kept)
        self._held_bytes = sum(item.packet.size for item in kept)
        self._shown_from_s = from_s
        self.jumped = True

    def _forget_before(self, time_s: float) -> None:
        after = bisect_right(self._starts, time_s + TIME_TOLERANCE_S)
        del self._starts[: max(0, after - 1)]
