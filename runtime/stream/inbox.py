"""Between the thread that reads a source and the one that decides: bounded, and it says what it
dropped."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

from mer_edge.errors import MerEdgeError
from mer_edge.media.sound import Chunk
from mer_edge.segments import SAMPLE_RATE_HZ
from runtime.stream.counts import StreamCounts
from runtime.stream.pictures import Picture

MOST_SOUND_S = 30.0
"""Sound that waits; of more the oldest is dropped, or the reader waits."""
MOST_PICTURES = 2
"""Pictures that wait, one a segment; of more the oldest is dropped, or the reader waits."""


@dataclass(frozen=True, eq=False)
class SoundItem:
    """16 kHz mono, and when it came by ``time.perf_counter``."""

    chunk: Chunk
    arrived_s: float


@dataclass(frozen=True, eq=False)
class PictureItem:
    """The picture of a segment's middle, None where there is none."""

    segment: int
    picture: Picture | None


@dataclass(frozen=True)
class SeenItem:
    """Frames have come until then."""

    until_s: float


@dataclass(frozen=True)
class GapItem:
    """A stretch without gaps is at its end; the source may come back."""

    end_s: float


@dataclass(frozen=True)
class BackItem:
    """The source is back."""

    at_s: float


@dataclass(frozen=True)
class EndItem:
    """Nothing comes any more."""

    end_s: float | None = None
    """Where the last stretch ends; None after a ``GapItem``."""
    error: MerEdgeError | None = None
    """Why, where it is not the source's own end."""


Item = SoundItem | PictureItem | SeenItem | GapItem | BackItem | EndItem


class Inbox:
    """Items in the order in which they were put.

    Args:
        counts: told of what is dropped.
        lossless: whether the reader waits where there is no room; else the oldest is dropped.
    """

    def __init__(self, counts: StreamCounts, *, lossless: bool) -> None:
        self._counts = counts
        self._lossless = lossless
        self._items: deque[Item] = deque()
        self._sound = 0
        self._pictures = 0
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item: Item) -> None:
        """Add an item; where there is no room for it, wait or drop an older one.

        Raises:
            Closed: nobody takes any more.
        """
        with self._changed:
            if self._lossless:
                self._changed.wait_for(lambda: self._closed or not self._is_full)
            if self._closed:
                raise Closed
            if isinstance(item, SeenItem) and self._items and isinstance(self._items[-1], SeenItem):
                self._items[-1] = item
            else:
                self._items.append(item)
            self._count(item, 1)
            if not self._lossless:
                self._make_room()
            self._changed.notify_all()

    def take(self, timeout_s: float) -> Item | None:
        """The oldest item; None where none came in time."""
        with self._changed:
            if not self._changed.wait_for(lambda: bool(self._items), timeout_s):
                return None
            item = self._items.popleft()
            self._count(item, -1)
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """Nobody takes any more: the reader is let go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait_closed(self, timeout_s: float) -> bool:
        """Sleep, for the reader; whether nobody takes any more."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed, timeout_s)

    @property
    def _is_full(self) -> bool:
        return self._sound > MOST_SOUND_S * SAMPLE_RATE_HZ or self._pictures > MOST_PICTURES

    def _count(self, item: Item, sign: int) -> None:
        if isinstance(item, SoundItem):
            self._sound += sign * len(item.chunk.samples)
        elif isinstance(item, PictureItem):
            self._pictures += sign * (item.picture is not None)

    def _make_room(self) -> None:
        while self._pictures > MOST_PICTURES:
            place, oldest = next(
                (place, item)
                for place, item in enumerate(self._items)
                if isinstance(item, PictureItem) and item.picture is not None
            )
            self._items[place] = PictureItem(oldest.segment, None)
            self._pictures -= 1
            self._counts.dropped_frames += 1
        while self._sound > MOST_SOUND_S * SAMPLE_RATE_HZ:
            oldest_sound = next(item for item in self._items if isinstance(item, SoundItem))
            self._items.remove(oldest_sound)
            self._count(oldest_sound, -1)
            self._counts.dropped_sound_s += len(oldest_sound.chunk.samples) / SAMPLE_RATE_HZ


class Closed(Exception):  # noqa: N818  not an error: how a reader learns that it may stop
    """Nobody takes what is put."""


def now_s() -> float:
    """The clock of ``SoundItem.arrived_s``."""
    return time.perf_counter()
