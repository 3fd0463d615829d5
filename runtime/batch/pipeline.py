"""N threads make clips of files, M threads run the network on batches of them.

Decoding, OpenCV and the engine leave the interpreter's lock while they work, so that threads fill
the cores, share one copy of the weights and pass clips without copying them. On the CPU a batch is
one thread's: threads inside a graph wait for each other at every operator, batches beside each
other do not (docs/batch.md has the figures).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mer_edge.errors import MerEdgeError
from mer_edge.media import stopping
from mer_edge.result import Result
from runtime.backend import check_count
from runtime.batch.mixer import Mixer, Stopped, Waiting
from runtime.batch.record import FileRecord
from runtime.batch.sources import Source
from runtime.batch.tally import Tally
from runtime.defects import defect, refused
from runtime.recognizer import Recognizer, open_detector

if TYPE_CHECKING:
    from mer_edge.faces.face import FaceDetector

DEFAULT_BATCH = 8
"""Clips at once. More gain nothing measurable and cost memory (docs/batch.md)."""
SEGMENTS_A_RUN = {"audio": 16, "visual": 3}
"""Of all clips of a batch, on the CPU. A run of sound shares out among its segments what it costs
to read the 67 million weights of VGGish's large layers; maps of faces, the largest of 3 MB a face,
should stay in the caches (docs/batch.md has the figures)."""
WAITING_SEGMENTS = 512
"""Of clips between decoding and the network, about 110 MB."""
JOIN_S = 30.0
"""For threads to end: each is at most within a picture, or a run of the network. One that is left
inside an engine when Python ends makes the process crash."""


@dataclass(frozen=True)
class Pace:
    """How much happens at once; it decides how fast a job is, not what it says.

    Raises:
        MerEdgeError: a number that is not 1 or more, or more workers than a machine should start.
    """

    batch: int = DEFAULT_BATCH
    """Clips of a batch."""
    workers: int = 1
    """Threads that make clips."""
    lanes: int = 1
    """Threads that run the network."""

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise MerEdgeError(f"--batch {self.batch}: expected 1 or more")
        check_count("--workers", self.workers)


class Pipeline:
    """A recognizer and what feeds it.

    Args:
        recognizer: with graphs of one thread each where there are several lanes.
        pace: how much at once.
        yunet: a face detector's file; None for the default detector.

    Raises:
        MerEdgeError: the batch is larger than the bundle takes, or ``yunet`` is not usable.
    """

    def __init__(self, recognizer: Recognizer, pace: Pace, yunet: Path | None = None) -> None:
        most = recognizer.chain.max_batch
        if pace.batch > most:
            raise MerEdgeError(
                f"--batch {pace.batch}: the bundle {recognizer.bundle.path} takes at most {most} "
                "clips at once; expected no more"
            )
        self._recognizer, self._pace = recognizer, pace
        # One each: a detector is not made for several threads.
        self._detectors = [open_detector(yunet) for _ in range(pace.workers)]

    def run(self, sources: list[Source]) -> Iterator[FileRecord]:
        """The record of every source, in their order, each as soon as those before it are there."""
        job = _Run(self._recognizer, sources, self._pace)
        with one_thread_each(), job.threads(self._detectors):
            while (record := job.tally.next_record()) is not None:
                yield record


@contextmanager
def one_thread_each() -> Iterator[None]:
    """FFmpeg and OpenCV work in the thread that calls them: the others are busy already."""
    import cv2

    from mer_edge.media.decode import decode_threads, set_decode_threads

    before = decode_threads(), cv2.getNumThreads()
    set_decode_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        set_decode_threads(before[0])
        cv2.setNumThreads(before[1])


class _Run:
    """One job on its way."""

    def __init__(self, recognizer: Recognizer, sources: list[Source], pace: Pace) -> None:
        self._recognizer = recognizer
        self._mixer = Mixer(pace.batch, pace.lanes, WAITING_SEGMENTS)
        self._lanes = pace.lanes
        self._working = pace.workers
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.tally = Tally(sources)

    @contextmanager
    def threads(self, detectors: list[FaceDetector]) -> Iterator[None]:
        """Everybody works inside the block and is gone after it."""
        threads = [self._thread(self._make_clips, detector) for detector in detectors]
        threads += [self._thread(self._run_batches) for _ in range(self._lanes)]
        try:
            yield
        finally:
            self._stop.set()
            self.tally.stop()
            self._mixer.stop()
            deadline = time.monotonic() + JOIN_S
            for thread in threads:  # a file that hangs must not hold up the end
                thread.join(max(0.0, deadline - time.monotonic()))

    def _thread(self, work: Callable[..., None], *arguments: object) -> threading.Thread:
        def guarded() -> None:
            try:
                work(*arguments)
            except BaseException as error:  # told by the thread that waits for records
                self.tally.stop(error)
                self._mixer.stop()

        thread = threading.Thread(target=guarded, daemon=True, name=work.__name__)
        thread.start()
        return thread

    def _make_clips(self, detector: FaceDetector) -> None:
        stopping.stop_by((self._stop,))
        try:
            while (begun := self.tally.begin()) is not None:
                number, source = begun
                self._make_clips_of(number, source, detector)
        except (Stopped, stopping.Stopped):
            return
        with self._lock:
            self._working -= 1
            last = self._working == 0
        if last:
            self._mixer.finish()

    def _make_clips_of(self, number: int, source: Source, detector: FaceDetector) -> None:
        manifest = self._recognizer.bundle.manifest
        error: str | None = None
        made = 0
        start = time.perf_counter()
        try:
            for clip in source.clips(manifest, detector):
                media_ms = (time.perf_counter() - start) * 1e3
                self._mixer.put(Waiting(clip, number, made, media_ms))
                made += 1
                if self.tally.has_failed(number):
                    break
                start = time.perf_counter()
        except Stopped:
            raise
        except Exception as failure:
            error = explain(Path(source.name), failure)
        self.tally.end(number, made, error)

    def _run_batches(self) -> None:
        while batch := self._mixer.take():
            for waiting, outcome in zip(batch, self._run_batch(batch), strict=True):
                self.tally.answer(waiting.file, waiting.index, outcome)

    def _run_batch(self, batch: list[Waiting]) -> list[Result | str]:
        try:
            results = self._recognizer.run_batch([waiting.clip for waiting in batch])
        except Exception as failure:
            if len(batch) == 1:
                return [explain(Path(batch[0].clip.source), failure)]
            # One of them is to blame: the others must not pay for it.
            return [outcome for waiting in batch for outcome in self._run_batch([waiting])]
        return [_timed(result, w.media_ms) for result, w in zip(results, batch, strict=True)]


def explain(path: Path, failure: Exception) -> str:
    """What a user reads of a file that failed."""
    if isinstance(failure, MerEdgeError):
        return str(failure)
    if isinstance(failure, OSError):
        return str(refused(path, failure))
    return str(defect(path, failure))


def _timed(result: Result, media_ms: float) -> Result:
    timings = result.timings_ms
    return replace(
        result,
        timings_ms={**timings, "media": media_ms, "total": timings["total"] + media_ms},
    )
