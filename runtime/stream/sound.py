"""Sound as it comes: resampled frame by frame, and kept until a segment takes it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_edge.media.sound import Chunk, Run, Sound
from mer_edge.segments import SAMPLE_RATE_HZ
from runtime.stream.counts import StreamCounts


class SoundRuns:
    """Decoded frames to 16 kHz mono, each where its time says: as offline, but frame by frame.

    Samples are counted on from where a run of frames began. Where the count and the times part by
    more than 40 ms (a hole, or a sampling clock that drifts), the sound slips to where the times
    say and a new run begins; also where the sample rate, the format or the layout changes.
    """

    def __init__(self, counts: StreamCounts) -> None:
        """``counts`` is told of slips and changes."""
        self._run: Run | None = None
        self._counts = counts

    def add(self, frame: Any, at_s: float | None) -> list[Chunk]:
        """The samples that are ready now.

        Args:
            frame: an ``av.AudioFrame``; its time stamp is taken away.
            at_s: when its first sample is heard; None follows the frame before.
        """
        stamp = None if at_s is None else round(at_s * SAMPLE_RATE_HZ)
        chunks: list[Chunk] = []
        run = self._run
        if run is not None and not run.continues_with(frame, stamp):
            chunks += run.finish()
            self._count(run, frame, stamp)
            stamp = run.expected if stamp is None else stamp
            run = None
        if run is None:
            run = self._run = Run(frame, stamp or 0)
        chunks += run.add(frame)
        self._counts.cancelled |= run.cancelled
        return chunks

    def finish(self) -> list[Chunk]:
        """What the resampler still holds; the next frame begins a new run."""
        run, self._run = self._run, None
        return [] if run is None else list(run.finish())

    def _count(self, run: Run, frame: Any, stamp: int | None) -> None:
        if not run.same_kind(frame):
            self._counts.changes += 1
        elif stamp is not None:
            self._counts.slips += 1
            self._counts.slipped_ms += (stamp - run.expected) / SAMPLE_RATE_HZ * 1e3


class SoundTrack:
    """16 kHz mono by time, as much as no segment has taken yet."""

    def __init__(self) -> None:
        self._chunks: list[Chunk] = []
        self._taken = 0
        self.position = 0
        """Where the newest sound ends, in samples since time 0."""
        self.broken = 0
        """Samples that were NaN or infinite, and are silence now."""

    def add(self, chunk: Chunk) -> None:
        """Keep sound; what lies before that which was taken is too late."""
        self.position = chunk.end
        if chunk.end > self._taken and len(chunk.samples):
            self._chunks.append(Chunk(chunk.start, self._finite(chunk.samples)))

    def peek(self, start: int, end: int) -> Sound:
        """The sound from sample ``start`` to ``end``; zeros where there is none."""
        samples = np.zeros(end - start, np.float32)
        covered = np.zeros(end - start, np.bool_)
        for chunk in self._chunks:
            first, last = max(chunk.start, start), min(chunk.end, end)
            if first < last:
                part = chunk.samples[first - chunk.start : last - chunk.start]
                samples[first - start : last - start] = part
                covered[first - start : last - start] = True
        return Sound(samples, covered)

    def take(self, start: int, end: int) -> Sound:
        """As ``peek``, and forget what comes before ``end``."""
        sound = self.peek(start, end)
        self._chunks = [chunk for chunk in self._chunks if chunk.end > end]
        self._taken = end
        return sound

    def _finite(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        finite = np.isfinite(samples)
        if not finite.all():
            self.broken += int(np.count_nonzero(~finite))
            samples = np.where(finite, samples, np.float32(0))
        clipped: NDArray[np.float32] = np.clip(samples, -1, 1)
        return clipped
