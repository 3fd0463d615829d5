"""Clips of all files wait here until a batch of them is together; decoding waits for room."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field

from mer_edge.clip import Clip

PATIENCE_S = 2.0
"""The longest a clip waits for others: then it runs in the company it has."""
BATCHES_WAITING = 4
"""Room for so many batches: enough of them to choose texts of similar length from."""


@dataclass(frozen=True)
class Waiting:
    """A clip, and where its result belongs."""

    clip: Clip
    file: int
    """Number of its file in the job."""
    index: int
    """Which of its file's clips it is."""
    media_ms: float
    """What it took to make."""
    since_s: float = field(default_factory=time.monotonic)


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """Nobody wants clips any more."""


class Mixer:
    """A waiting room between threads that make clips and threads that run them.

    Args:
        batch: clips of a full batch.
        takers: threads that take; what is left at the end is shared out among them.
        most_segments: of all waiting clips together; one clip alone may be longer.
    """

    def __init__(self, batch: int, takers: int, most_segments: int) -> None:
        self._batch, self._takers = batch, takers
        self._most_segments = most_segments
        self._waiting: list[Waiting] = []
        self._changed = threading.Condition()
        self._crowded = False
        self._finished = False
        self._stopped = False

    def put(self, waiting: Waiting) -> None:
        """Wait for room, then wait for a batch.

        Raises:
            Stopped: nobody takes clips any more.
        """
        with self._changed:
            while self._waiting and not self._fits(waiting) and not self._stopped:
                self._crowded = True
                self._changed.notify_all()
                self._changed.wait()
            if self._stopped:
                raise Stopped
            self._waiting.append(waiting)
            self._changed.notify_all()

    def take(self) -> list[Waiting]:
        """The clip that has waited longest and those whose texts are most like its in length.

        Returns:
            At most a batch; nothing when all is done or stopped.
        """
        with self._changed:
            while not self._stopped and not self._ready():
                if self._finished and not self._waiting:
                    return []
                self._changed.wait(self._patience_s())
            if self._stopped:
                return []
            return self._choose()

    def finish(self) -> None:
        """No more clips will come."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Let everybody go; what waits is forgotten."""
        with self._changed:
            self._stopped = True
            self._waiting.clear()
            self._changed.notify_all()

    def _fits(self, waiting: Waiting) -> bool:
        segments = sum(other.clip.segments for other in self._waiting)
        return (
            len(self._waiting) < self._batch * max(BATCHES_WAITING, 2 * self._takers)
            and segments + waiting.clip.segments <= self._most_segments
        )

    def _ready(self) -> bool:
        if not self._waiting:
            return False
        full = len(self._waiting) >= self._batch
        return full or self._crowded or self._finished or self._patience_s() == 0

    def _patience_s(self) -> float | None:
        """How much longer the first may wait; None where nobody is."""
        if not self._waiting:
            return None
        return max(0.0, self._waiting[0].since_s + PATIENCE_S - time.monotonic())

    def _choose(self) -> list[Waiting]:
        count = self._batch
        if self._finished:
            count = min(count, math.ceil(len(self._waiting) / self._takers))
        first = self._waiting[0]
        # Stable: among equals those that have waited longer.
        others = sorted(self._waiting[1:], key=lambda w: abs(_length(w) - _length(first)))
        chosen = [first, *others[: count - 1]]
        taken = set(map(id, chosen))
        self._waiting = [waiting for waiting in self._waiting if id(waiting) not in taken]
        self._crowded = False
        self._changed.notify_all()
        return chosen


def _length(waiting: Waiting) -> int:
    """Of the text, which is padded to the longest of its batch; characters stand for tokens."""
    return len(waiting.clip.text or "")
