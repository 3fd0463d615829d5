"""Make every clip of a data set, each only once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from mer_edge.evidence import Evidence
from mer_edge.samples.sample import Sample
from train.prepare_pool import make_in_processes
from train.prepare_worker import Job, keep_clip, one_thread, shared_detector
from train.prepared import ClipRef
from train.progress import Progress
from train.store import ShardWriter, open_store, writing

FORMAT = 5
"""Part of every key: raised when the stored form or the way clips are made changes."""


@dataclass(frozen=True)
class ReadySample:
    """A labelled clip and where it is prepared."""

    sample: Sample
    stored: ClipRef | None
    """None: the sample is text alone, of which nothing is to be prepared."""


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
    evidence: Evidence | None = None,
) -> tuple[list[ReadySample], list[Skipped]]:
    """Prepare every sample that the store does not hold yet; both lists keep the samples' order.

    A sample of text alone is ready as it is. A clip that cannot be made is reported through
    ``progress.note`` and skipped. After a kill what was written stays; the shard in work is made
    again.

    Args:
        workers: processes; None: one per processor, at most one per 8 clips.
        evidence: what sound and faces need to have a say; None: to be there.

    Raises:
        MerEdgeError: the store cannot be read or written, or no process survives (memory).
    """
    jobs = {
        number: Job(
            clip_key(sample, store, crops_per_segment, evidence),
            sample,
            crops_per_segment,
            evidence,
        )
        for number, sample in enumerate(samples)
        if sample.media is not None
    }
    refs, reasons = _prepare(list(jobs.values()), store, workers, progress) if jobs else ({}, {})
    ready, skipped = [], []
    for number, sample in enumerate(samples):
        job = jobs.get(number)
        if job is not None and job.key in reasons:
            skipped.append(Skipped(sample.place, reasons[job.key]))
        else:
            ready.append(ReadySample(sample, None if job is None else refs[job.key]))
    return ready, skipped


def _prepare(
    jobs: Sequence[Job], store: Path, workers: int | None, progress: Progress
) -> tuple[dict[str, ClipRef], dict[str, str]]:
    """Where each clip is prepared, and by its key why one could not be."""
    refs = open_store(store)
    reasons: dict[str, str] = {}
    if any(job.key not in refs for job in jobs):
        with writing(store, progress):
            refs = open_store(store)  # another process may have been at it
            missing = {job.key: job for job in jobs if job.key not in refs}
            done, total = len(jobs) - len(missing), len(jobs)
            progress.step("prepare", done, total)
            with closing(_make(list(missing.values()), store, workers)) as making:
                for job, reason in making:
                    done += 1
                    progress.step("prepare", done, total, job.sample.id)
                    if reason is not None:
                        reasons[job.key] = reason
                        progress.note(f"skipped {reason}", warning=True)
        refs = open_store(store)
    else:
        progress.step("prepare", len(jobs), len(jobs))
    return refs, reasons


def clip_key(
    sample: Sample, store: Path, crops_per_segment: int, evidence: Evidence | None = None
) -> str:
    """What the prepared form of ``sample`` is kept under: changes with the file and the options.

    The file counts by its path from the store, so that a data set and the store in it may move.
    """
    assert sample.media is not None  # text alone is not prepared
    part = (sample.start_s, sample.end_s, sample.frame_rate_hz, sample.frames, sample.sound)
    rules = [] if evidence is None else [asdict(evidence)]
    rest = [sample.faces_aligned, *rules, *map(list, _identity(sample.media, store))]
    key = json.dumps([FORMAT, crops_per_segment, *part, *rest])
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


def _make(
    jobs: Sequence[Job], store: Path, workers: int | None
) -> Generator[tuple[Job, str | None], None, None]:
    """Make the clips, the longest first, so that at the end no process works on one alone."""
    jobs = sorted(jobs, key=_size, reverse=True)
    count = workers or min(_processors(), -(-len(jobs) // 8))
    return _make_here(jobs, store) if count <= 1 else make_in_processes(jobs, store, count)


def _make_here(jobs: Sequence[Job], store: Path) -> Generator[tuple[Job, str | None], None, None]:
    writer = ShardWriter(store)
    with one_thread():
        shared_detector()  # what it lacks is said here, once, and not of every clip
        try:
            for job in jobs:
                yield job, keep_clip(job, writer)
        finally:
            writer.flush()  # of a shard that could not be written nothing is left to write


def _size(job: Job) -> float:
    """Long clips have large ones; of a data set all are files, or all parts of files."""
    sample = job.sample
    if sample.end_s is not None:
        return sample.end_s - (sample.start_s or 0.0)
    assert sample.media is not None
    try:
        return sample.media.stat().st_size
    except OSError:
        return 0.0


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
