"""Times of a live source: put together over jumps, and two clocks held beside each other."""

from __future__ import annotations

import statistics
import time
from collections import deque
from dataclasses import dataclass, field

from mer_edge.media.joining import MAX_JUMP_S, MAX_SKEW_S
from mer_edge.media.stamps import BREAK_S
from runtime.stream.counts import StreamCounts

DRIFT_WINDOW = 250
"""Frames over which the offset of two clocks is a median: 10 s at 25 frames a second."""
MAX_DRIFT_S = 0.25
"""Pictures that have run away from the sound by more are moved back: a quarter of a segment."""


@dataclass
class Origin:
    """The time stamp of a source's first moment; None until a header or the first frame says."""

    stamp_s: float | None = None
    ends_s: dict[StampClock, float] = field(default_factory=dict)
    """Where each stream's newest frame ends, in the stream's time."""
    count: tuple[float, float] | None = None
    """The newest count that began: its first stamp, and what is added to its stamps."""


class StampClock:
    """Time stamps of one stream of a source as the stream's time.

    As ``mer_edge.media.mending`` where that does not need the future: that a short leap ahead was
    damage shows only when the stamps come back.

    Args:
        origin: of the source; its streams share it.
        base_s: the time of that moment.
        counts: told of jumps.
    """

    def __init__(self, origin: Origin, base_s: float, counts: StreamCounts) -> None:
        self._origin = origin
        self._shift_s = base_s
        self._expected_s = base_s
        self._before_leap_s: float | None = None
        self._began = False
        self._counts = counts

    def time_s(self, stamp_s: float | None, duration_s: float) -> float:
        """When a frame is heard or shown; without a stamp, right after the one before.

        Args:
            duration_s: of the frame.
        """
        time_s = self._expected_s
        if stamp_s is not None:
            if self._origin.stamp_s is None:
                self._origin.stamp_s = stamp_s
            time_s = stamp_s - self._origin.stamp_s + self._shift_s
            if self._began:
                time_s = self._followed(stamp_s, time_s)
        self._began = True
        self._expected_s = self._origin.ends_s[self] = time_s + duration_s
        return time_s

    def _followed(self, stamp_s: float, time_s: float) -> float:
        """The time of a frame that is not the first."""
        gap_s = time_s - self._expected_s
        if -BREAK_S <= gap_s <= BREAK_S:
            return time_s
        before_s, self._before_leap_s = self._before_leap_s, None
        if gap_s < 0 and before_s is not None and time_s >= before_s - BREAK_S:
            return time_s  # Back from a leap that was damage.
        others_s = [end_s for clock, end_s in self._origin.ends_s.items() if clock is not self]
        is_pause = any(abs(time_s - end_s) <= MAX_SKEW_S for end_s in others_s)
        if gap_s > 0 and (gap_s <= MAX_JUMP_S or is_pause):
            self._before_leap_s = self._expected_s
            return time_s
        self._counts.jumps += 1
        self._shift_s = self._new_shift_s(stamp_s, time_s)
        return stamp_s - (self._origin.stamp_s or 0.0) + self._shift_s

    def _new_shift_s(self, stamp_s: float, time_s: float) -> float:
        """So that the new count goes on here, in step with the stream in which it began before."""
        shift_s = self._shift_s + self._expected_s - time_s
        known, self._origin.count = self._origin.count, (stamp_s, shift_s)
        if known is None or abs(known[0] - stamp_s) > MAX_SKEW_S:
            return shift_s
        self._origin.count = None
        return known[1] if abs(known[1] - shift_s) <= MAX_SKEW_S else shift_s

    def move(self, by_s: float) -> None:
        """From now on everything is later by ``by_s``."""
        self._shift_s += by_s
        self._expected_s += by_s


class Drift:
    """How far the pictures' clock has run from the sound's since the first frames.

    Sound and pictures of one moment arrive together, give or take what buffers hold: what changes
    in that difference over minutes is drift. It is measured by medians over 10 s.
    """

    def __init__(self) -> None:
        self._first: list[float] = []
        self._first_median = 0.0
        self._recent: deque[float] = deque(maxlen=DRIFT_WINDOW)
        self._corrected_s = 0.0
        self.moved = 0
        """How often the pictures were moved."""

    def add(self, sound_s: float, picture_s: float) -> None:
        """The times of the newest sound and of a picture that has just arrived."""
        ahead_s = picture_s - sound_s
        self._recent.append(ahead_s)
        if len(self._first) < DRIFT_WINDOW:
            self._first.append(ahead_s)
            self._first_median = statistics.median(self._first)

    @property
    def drift_s(self) -> float:
        """Since the beginning, positive where the pictures' clock is fast; 0 until it is known."""
        return self._corrected_s + self._left_s

    def correction_s(self) -> float:
        """By how much the pictures' clock is to be moved now, mostly 0; to ask is to have it
        moved."""
        left_s = self._left_s
        if abs(left_s) <= MAX_DRIFT_S:
            return 0.0
        self._recent = deque((ahead_s - left_s for ahead_s in self._recent), maxlen=DRIFT_WINDOW)
        self._corrected_s += left_s
        self.moved += 1
        return -left_s

    @property
    def _left_s(self) -> float:
        if len(self._first) < DRIFT_WINDOW:
            return 0.0
        return statistics.median(self._recent) - self._first_median


class Pacer:
    """Lets a file arrive as it would have been recorded."""

    def __init__(self) -> None:
        self.began_s: float | None = None
        """When the stream's time was 0, by ``time.perf_counter``; None before the first frame."""

    def wait_s(self, time_s: float) -> float:
        """How long to wait until the stream's time is ``time_s``; the first call starts it."""
        now_s = time.perf_counter()
        if self.began_s is None:
            self.began_s = now_s - time_s
        return max(0.0, self.began_s + time_s - now_s)
