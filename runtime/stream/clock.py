"""Times of a live source: put together over jumps, and two clocks held beside each other."""

from __future__ import annotations

import statistics
import time
from collections import deque
from dataclasses import dataclass

from runtime.stream.counts import StreamCounts

MAX_JUMP_S = 5.0
"""Time stamps that leap by more are not a hole in the recording but a new count."""
DRIFT_WINDOW = 250
"""Frames over which the offset of two clocks is a median: 10 s at 25 frames a second."""
MAX_DRIFT_S = 0.25
"""Pictures that have run away from the sound by more are moved back: a quarter of a segment."""


@dataclass
class Origin:
    """The time stamp of a source's first moment; None until a header or the first frame says."""

    stamp_s: float | None = None


class StampClock:
    """Time stamps of one stream of a source as the stream's time.

    Args:
        origin: of the source; its streams share it.
        base_s: the time of that moment.
        counts: told of jumps.
    """

    def __init__(self, origin: Origin, base_s: float, counts: StreamCounts) -> None:
        self._origin = origin
        self._shift_s = base_s
        self._expected_s = base_s
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
            if self._began and abs(time_s - self._expected_s) > MAX_JUMP_S:
                self._counts.jumps += 1
                self._shift_s += self._expected_s - time_s
                time_s = self._expected_s
        self._began = True
        self._expected_s = time_s + duration_s
        return time_s

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
