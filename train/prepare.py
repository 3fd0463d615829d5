"""Make every clip of a data set, in parallel processes, each only once.

This module stays free of torch: its processes start in a second.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mer_edge.clips import ClipOptions, prepare_clips
from mer_edge.errors import MerEdgeError
from mer_edge.faces.mtcnn import MtcnnDetector
from mer_edge.text.source import TextOptions
from train.datasets.sample import Sample
from train.prepared import store_clip
from train.progress import Progress

FORMAT = 2
"""Part of every cache key: raised when the stored form or the way clips are made changes."""


@dataclass(frozen=True)
class ReadySample:
    """A labelled clip and the file that holds it prepared."""

    sample: Sample
    file: Path


@dataclass(frozen=True)
class Skipped:
    """A clip that could not be prepared."""

    media: str
    reason: str


def prepare_samples(
    samples: Sequence[Sample],
    cache: Path,
    crops_per_segment: int,
    workers: int | None,
    progress: Progress,
) -> tuple[list[ReadySample], list[Skipped]]:
    """Prepare every sample that the cache does not hold yet; both lists keep the samples' order.

    A clip that cannot be made is reported through ``progress.note`` and skipped.

    Raises:
        MerEdgeError: the cache cannot be written, or no process survives (memory).
    """
    jobs = [
        _Job(sample, cache_file(sample, cache, crops_per_segment), crops_per_segment)
        for sample in samples
    ]
    missing = [job for job in dict.fromkeys(jobs) if not job.file.exists()]
    total, done = len(jobs), len(jobs) - len(missing)
    progress.step("prepare", done, total)
    reasons: dict[_Job, str] = {}
    for job, reason in _run(missing, workers):
        done += 1
        progress.step("prepare", done, total, job.sample.id)
        if reason is not None:
            reasons[job] = reason
            progress.note(f"skipped {reason}", warning=True)
    ready = [
        ReadySample(sample, job.file)
        for sample, job in zip(samples, jobs, strict=True)
        if job not in reasons
    ]
    skipped = [Skipped(str(job.sample.media), reasons[job]) for job in jobs if job in reasons]
    return ready, skipped


def cache_file(sample: Sample, cache: Path, crops_per_segment: int) -> Path:
    """Where the prepared form of ``sample`` is kept: changes with the file and the options."""
    part = (sample.start_s, sample.end_s, sample.frame_rate_hz, sample.frames, sample.sound)
    aligned = sample.faces_aligned
    key = json.dumps(
        [FORMAT, crops_per_segment, *part, aligned, *map(list, _identity(sample.media))]
    )
    return (
        cache / f"{sample.media.stem}-{hashlib.sha256(key.encode()).hexdigest()[:24]}.safetensors"
    )


@dataclass(frozen=True)
class _Job:
    sample: Sample
    file: Path
    crops_per_segment: int


def _identity(media: Path) -> Iterator[tuple[str, int, int]]:
    files: Iterable[Path] = [media]
    if media.is_dir():
        files = sorted(path for path in media.rglob("*") if path.is_file())
    for file in files:
        try:
            status = file.stat()
            yield str(file.resolve()), status.st_size, status.st_mtime_ns
        except OSError:
            yield str(file), -1, -1  # preparing it will say what is wrong


def _run(jobs: Sequence[_Job], workers: int | None) -> Iterator[tuple[_Job, str | None]]:
    if not jobs:
        return
    _detector(0)  # what it lacks is said here, once, and not by every process
    processors = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    )
    count = workers or min(processors or 1, -(-len(jobs) // 8))
    if count == 1:
        for job in jobs:
            yield job, _prepare(job, 0)
        return
    pool = ProcessPoolExecutor(
        count, mp_context=multiprocessing.get_context("spawn"), initializer=_one_thread
    )
    try:
        futures = {pool.submit(_prepare, job, 1): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise MerEdgeError(
            "a process that prepared clips was ended from outside, probably for want of memory; "
            "train again with fewer --workers (what is prepared is kept)"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare(job: _Job, threads: int) -> str | None:
    """Make and store one clip; returns why it cannot be made."""
    # The manifest alone says what the text is, not a file beside the clip.
    sample = job.sample
    options = ClipOptions(
        text=TextOptions(text=sample.text, no_text=sample.text is None),
        start_s=sample.start_s,
        end_s=sample.end_s,
        frame_rate_hz=sample.frame_rate_hz,
        frames=sample.frames,
        sound=sample.sound,
        faces_aligned=sample.faces_aligned,
    )
    try:
        clips = prepare_clips(
            sample.media,
            options,
            crops_per_segment=job.crops_per_segment,
            detector=_detector(threads),
        )
        first = next(clips, None)
        another = next(clips, None)
    except MerEdgeError as error:
        return str(error)
    if first is None or another is not None:
        return (
            f"{sample.media}: {'no' if first is None else 'more than one'} utterance; expected one "
            f"of at most {options.window_s:g} s a line of the manifest; cut the file"
        )
    store_clip(first, job.file)
    return None


@lru_cache(maxsize=1)
def _detector(threads: int) -> MtcnnDetector:
    return MtcnnDetector(threads)


def _one_thread() -> None:
    import cv2

    cv2.setNumThreads(1)  # one process per processor already
