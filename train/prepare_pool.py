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

JOBS_AHEAD = 2
"""Clips that a process is given at a time, so that it never waits for the next."""


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
    waiting = iter(enumerate(jobs))
    given = {worker.connection: 0 for worker in workers}
    with _told():
        for worker in list(workers) * JOBS_AHEAD:
            given[worker.connection] += _give(worker.connection, next(waiting, None))
    while any(given.values()):
        for connection in wait([c for c, count in given.items() if count]):
            assert isinstance(connection, Connection)
            with _told():
                outcome = connection.recv()
                if isinstance(outcome, MerEdgeError):
                    raise outcome
                given[connection] += _give(connection, next(waiting, None)) - 1
            number, reason = outcome
            yield jobs[number], reason


def _give(connection: Connection, job: tuple[int, Job] | None) -> int:
    """How many jobs were given: 0 or 1."""
    if job is None:
        return 0
    connection.send(job)
    return 1


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
        while (given := connection.recv()) is not None:
            number, job = given
            connection.send((number, keep_clip(job, writer)))
        writer.flush()
        connection.send(None)
    except MerEdgeError as error:
        connection.send(error)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # nobody is left to take what it makes
