"""Clips made in parallel processes, each of which writes what it makes to the store by itself.

Only a clip's name and its outcome travel between the processes, never its samples and pictures:
with one writer for all, a data set of sound alone was written in 5.9 s by two processes and in 6.6
by one. Light on purpose: no torch, so that a process starts in a moment.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import cv2

from mer_edge.errors import MerEdgeError
from mer_edge.media.decode import set_decode_threads
from train.prepare_worker import Job, keep_clip, shared_detector
from train.store import ShardWriter

PARTS_AHEAD = 2
"""Parts that a process is given at a time, so that it never waits for the next."""
MOST_IN_A_PART, PARTS_EACH = 16, 64
"""Clips in a part, and how many parts a process is to have where there are enough clips."""


@dataclass(frozen=True)
class _Worker:
    process: BaseProcess
    connection: Connection


def make_in_processes(
    jobs: Sequence[Job], store: Path, count: int
) -> Generator[tuple[Job, str | None], None, None]:
    """Each job as its clip is made, with the reason if it could not be.

    What the processes have made is in the store when this ends, also where the caller or Ctrl-C
    ends it early; a second Ctrl-C ends the processes at once.

    Raises:
        MerEdgeError: the disk says no, or a process was ended from outside.
    """
    context = multiprocessing.get_context("spawn")  # the caller may have threads
    workers = []
    for _ in range(count):
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, store), daemon=True)
        process.start()
        theirs.close()  # so that the process's death is the end of the connection
        workers.append(_Worker(process, ours))
    try:
        shared_detector()  # while the processes start: what it lacks is said here, once
        yield from _give_out(jobs, workers)
    finally:
        _finish(workers)


def _give_out(jobs: Sequence[Job], workers: Sequence[_Worker]) -> Iterator[tuple[Job, str | None]]:
    waiting = _parts(jobs, len(workers))
    given: dict[Connection, deque[Sequence[Job]]] = {w.connection: deque() for w in workers}
    with _told():
        for worker in list(workers) * PARTS_AHEAD:
            _give(worker.connection, given, waiting)
    while any(given.values()):
        for connection in wait([c for c, parts in given.items() if parts]):
            assert isinstance(connection, Connection)
            with _told():
                reasons = connection.recv()
                if isinstance(reasons, MerEdgeError):
                    raise reasons
                _give(connection, given, waiting)
            yield from zip(given[connection].popleft(), reasons, strict=True)


def _parts(jobs: Sequence[Job], workers: int) -> Iterator[Sequence[Job]]:
    """Jobs that are given out together: many of short clips, so that telling is no work itself."""
    size = min(MOST_IN_A_PART, max(1, len(jobs) // (workers * PARTS_EACH)))
    return (jobs[start : start + size] for start in range(0, len(jobs), size))


def _give(
    connection: Connection,
    given: dict[Connection, deque[Sequence[Job]]],
    waiting: Iterator[Sequence[Job]],
) -> None:
    part = next(waiting, None)
    if part is not None:
        given[connection].append(part)
        connection.send(part)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError) as error:
        raise MerEdgeError(
            "a process that prepared clips was ended from outside, probably for want of memory; "
            "run again with fewer --workers (what is prepared is kept)"
        ) from error


def _finish(workers: Sequence[_Worker]) -> None:
    """Let every process write its shard in work; raise what one has to say about it."""
    errors: list[MerEdgeError] = []
    try:
        for worker in workers:
            with suppress(OSError):  # it is gone, and that was told while jobs were given out
                worker.connection.send(None)
        for worker in workers:
            with suppress(EOFError, OSError):
                while (said := worker.connection.recv()) is not None:
                    errors += [said] if isinstance(said, MerEdgeError) else []
            worker.process.join()
    finally:
        for worker in workers:
            worker.process.terminate()  # those that a second Ctrl-C has left
    if errors:
        raise errors[0]


def _work(connection: Connection, store: Path) -> None:
    """A process: make the clips that come, until None does or the one that started it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the first of them decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    set_decode_threads(1)
    writer = ShardWriter(store)
    try:
        while (jobs := connection.recv()) is not None:
            connection.send([keep_clip(job, writer) for job in jobs])
        writer.flush()
        connection.send(None)
    except MerEdgeError as error:
        connection.send(error)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # nobody is left to take what it makes
