"""Make every clip of a data set, in parallel processes, each only once."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from mer_edge.errors import MerEdgeError
from train.datasets.sample import Sample
from train.prepare_worker import Job, make_clip, one_thread, shared_detector, start_worker
from train.prepared import ClipRef
from train.progress import Progress
from train.store import open_store, writing
from train.stored_clip import StoredClip

FORMAT = 4
"""Part of every key: raised when the stored form or the way clips are made changes."""
JOBS_AHEAD = 4
"""Clips per process that are given out or wait to be written: bounds the memory."""


@dataclass(frozen=True)
class ReadySample:
    """A labelled clip and where it is prepared."""

    sample: Sample
    stored: ClipRef


@dataclass(frozen=True)
class Skipped:
    """A clip that could not be prepared."""

    media: str
    reason: str


def prepare_samples(
    samples: Sequence[Sample],
    store: Path,
    crops_per_segment: int,
    workers: int | None,
    progress: Progress,
) -> tuple[list[ReadySample], list[Skipped]]:
    """Prepare every sample that the store does not hold yet; both lists keep the samples' order.

    A clip that cannot be made is reported through ``progress.note`` and skipped. After a kill
    what was written stays; the shard in work is made again.

    Args:
        workers: processes; None: one per processor, at most one per 8 clips.

    Raises:
        MerEdgeError: the store cannot be read or written, or no process survives (memory).
    """
    jobs = [Job(clip_key(s, store, crops_per_segment), s, crops_per_segment) for s in samples]
    refs = open_store(store)
    reasons: dict[str, str] = {}
    if any(job.key not in refs for job in jobs):
        with writing(store, progress) as writer:
            refs = open_store(store)  # another process may have been at it
            missing = {job.key: job for job in jobs if job.key not in refs}
            done, total = len(jobs) - len(missing), len(jobs)
            progress.step("prepare", done, total)
            for job, made in _run(list(missing.values()), workers):
                done += 1
                progress.step("prepare", done, total, job.sample.id)
                if isinstance(made, StoredClip):
                    writer.add(job.key, made)
                else:
                    reasons[job.key] = made
                    progress.note(f"skipped {made}", warning=True)
        refs = open_store(store)
    else:
        progress.step("prepare", len(jobs), len(jobs))
    ready = [ReadySample(job.sample, refs[job.key]) for job in jobs if job.key not in reasons]
    skipped = [Skipped(str(j.sample.media), reasons[j.key]) for j in jobs if j.key in reasons]
    return ready, skipped


def clip_key(sample: Sample, store: Path, crops_per_segment: int) -> str:
    """What the prepared form of ``sample`` is kept under: changes with the file and the options.

    The file counts by its path from the store, so that a data set and the store in it may move.
    """
    part = (sample.start_s, sample.end_s, sample.frame_rate_hz, sample.frames, sample.sound)
    aligned = sample.faces_aligned
    key = json.dumps(
        [FORMAT, crops_per_segment, *part, aligned, *map(list, _identity(sample.media, store))]
    )
    return hashlib.sha256(key.encode()).hexdigest()


def _identity(media: Path, store: Path) -> Iterator[tuple[str, int, int]]:
    files: Iterable[Path] = [media]
    if media.is_dir():
        files = sorted(path for path in media.rglob("*") if path.is_file())
    for file in files:
        try:
            status = file.stat()
            place = os.path.relpath(file.resolve(), store.resolve())
            yield place, status.st_size, status.st_mtime_ns
        except OSError:
            yield str(file), -1, -1  # preparing it will say what is wrong


def _run(jobs: Sequence[Job], workers: int | None) -> Iterator[tuple[Job, StoredClip | str]]:
    """Make the clips, the longest first, so that at the end no process works on one alone."""
    if not jobs:
        return
    jobs = sorted(jobs, key=_size, reverse=True)
    count = workers or min(_processors(), -(-len(jobs) // 8))
    if count == 1:
        with one_thread():
            shared_detector()  # what it lacks is said here, once, and not of every clip
            for job in jobs:
                yield job, make_clip(job)
        return
    pool = ProcessPoolExecutor(
        count, mp_context=multiprocessing.get_context("spawn"), initializer=start_worker
    )
    try:
        yield from _spread(pool, jobs, count * JOBS_AHEAD)
    except KeyboardInterrupt:
        _end(pool)  # a second Ctrl-C while waiting for them would leave them behind
        raise
    except BrokenProcessPool as error:
        raise MerEdgeError(
            "a process that prepared clips was ended from outside, probably for want of memory; "
            "run again with fewer --workers (what is prepared is kept)"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _end(pool: ProcessPoolExecutor) -> None:
    """End the processes now, whatever they are at."""
    for process in list((pool._processes or {}).values()):
        process.terminate()


def _spread(
    pool: ProcessPoolExecutor, jobs: Sequence[Job], ahead: int
) -> Iterator[tuple[Job, StoredClip | str]]:
    waiting = iter(jobs)
    running: dict[Future[StoredClip | str], Job] = {}
    for job in waiting:
        running[pool.submit(make_clip, job)] = job
        if len(running) == ahead:
            break
    shared_detector()  # while the processes start: what it lacks is said once
    while running:
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            done, made = running.pop(future), future.result()
            following = next(waiting, None)
            if following is not None:
                running[pool.submit(make_clip, following)] = following
            yield done, made


def _size(job: Job) -> float:
    """Long clips have large ones; of a data set all are files, or all parts of files."""
    sample = job.sample
    if sample.end_s is not None:
        return sample.end_s - (sample.start_s or 0.0)
    try:
        return sample.media.stat().st_size
    except OSError:
        return 0.0


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
