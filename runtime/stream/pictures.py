"""Of all frames, those that are shown in the middle of a segment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from mer_edge.media.frames import MAX_STALE_S, TIME_TOLERANCE_S
from mer_edge.segments import SEGMENT_S


class Picture(Protocol):
    """A frame that becomes pixels only if it is looked at."""

    def rgb(self) -> NDArray[np.uint8]:
        """shape = (height, width, 3), upright, square pixels."""
        ...


@dataclass(frozen=True, eq=False)
class Pixels:
    """A picture that is pixels already."""

    pixels: NDArray[np.uint8]

    def rgb(self) -> NDArray[np.uint8]:
        """See ``Picture``."""
        return self.pixels


P = TypeVar("P")


@dataclass(frozen=True)
class _Shown(Generic[P]):
    picture: P
    start_s: float
    frame_s: float
    """How long a frame of its rate is shown."""
    failed: int
    """Packets that had failed when it came."""


class MiddlePicker(Generic[P]):
    """Takes frames as they come and says which one is shown in the middle of which segment.

    A frame is shown until the next one. It may stand half a second longer than its own time where
    those after it were lost, and no longer (``mer_edge.media.frames``).
    """

    def __init__(self, first_segment: int = 0) -> None:
        self._segment = first_segment
        self._current: _Shown[P] | None = None

    @property
    def seen_until_s(self) -> float:
        """When the newest frame begins; minus infinity before the first."""
        return float("-inf") if self._current is None else self._current.start_s

    def add(
        self, picture: P, start_s: float, frame_s: float, failed: int = 0
    ) -> list[tuple[int, P | None]]:
        """The segments whose picture is known now that this frame has come, each with it.

        Args:
            start_s: since when the frame is shown; one before the last frame's is left out.
            frame_s: how long a frame of this rate is shown.
            failed: how many packets could not be decoded so far.
        """
        if start_s <= self.seen_until_s:
            return []
        known = []
        while middle_s(self._segment) + TIME_TOLERANCE_S < start_s:
            known.append((self._segment, self._shown_at(middle_s(self._segment), failed)))
            self._segment += 1
        self._current = _Shown(picture, start_s, frame_s, failed)
        return known

    def settle(self, segment: int, hold_s: float = MAX_STALE_S) -> list[tuple[int, P | None]]:
        """The pictures until ``segment`` although no later frame has come, for who cannot wait.

        Args:
            hold_s: how far beyond its own time a frame is shown; 0 where it is the last one.
        """
        known = []
        while self._segment <= segment:
            known.append((self._segment, self._held_at(middle_s(self._segment), hold_s)))
            self._segment += 1
        return known

    def restart(self, segment: int) -> None:
        """After a gap: no frame is shown, and the next middle is that of ``segment``."""
        self._current = None
        self._segment = segment

    def _shown_at(self, time_s: float, failed: int) -> P | None:
        current = self._current
        if current is None:
            return None
        lost = failed > current.failed
        return self._held_at(time_s) if lost else current.picture

    def _held_at(self, time_s: float, hold_s: float = MAX_STALE_S) -> P | None:
        current = self._current
        if current is None or time_s >= current.start_s + current.frame_s + hold_s:
            return None
        return current.picture


def middle_s(segment: int) -> float:
    """The time that a segment's picture is of."""
    return segment * SEGMENT_S + SEGMENT_S / 2
