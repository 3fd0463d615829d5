"""Making the next items in a thread while one is worked on: clips, pictures, sound.

Decoding, scaling, detection and inference let go of Python's lock, so that two cores work. What is
made is the same and in the same order; an error comes where it would have come.
"""

from __future__ import annotations

import atexit
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from mer_edge.media.decode import decode_threads
from mer_edge.media.stopping import check_stopped, stop_by, stops

T = TypeVar("T")


def read_ahead(items: Iterator[T], depth: int = 1) -> Generator[T, None, None]:
    """``items``, of which up to ``depth`` are made before they are asked for.

    A process that decodes in one thread makes each when it is asked for: who runs a process per
    core (``set_decode_threads(1)``) has no core to spare. Closing the generator stops the thread
    within the packet or picture it is at, and waits for that.
    """
    if decode_threads() == 1:
        yield from items
        return
    worker = _Worker(items, depth)
    try:
        while True:
            try:
                item = worker.next()
            except StopIteration:
                return
            yield item
            del item  # The next is waited for without keeping the last.
    finally:
        worker.stop()


@contextmanager
def beside(make: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """Run ``make`` in a thread; what is yielded waits for its result, or raises its error.

    In a process that decodes in one thread it runs when its result is asked for. At the end of
    the ``with`` block the thread is stopped and waited for.
    """
    if decode_threads() == 1:
        yield cache(make)
        return

    def once() -> Iterator[T]:
        yield make()

    worker = _Worker(once(), 1)
    try:
        yield cache(worker.next)
    finally:
        worker.stop()


class _Worker(Generic[T]):
    """A thread that keeps a short queue filled."""

    def __init__(self, items: Iterator[T], depth: int) -> None:
        self._items = items
        self._depth = depth
        self._made: deque[T] = deque()
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._ended = False
        self._stop = threading.Event()
        # A daemon: a generator that somebody keeps must not keep the process from ending.
        self._thread = threading.Thread(
            target=self._run, args=((*stops(), self._stop),), name="read-ahead", daemon=True
        )
        _running.add(self)
        self._thread.start()

    def next(self) -> T:
        """The next item.

        Raises:
            StopIteration: there is none.
        """
        check_stopped()
        with self._changed:
            while not self._made and not self._ended:
                self._changed.wait()
            if self._made:
                self._changed.notify_all()
                return self._made.popleft()
        if self._error is not None:
            raise self._error
        raise StopIteration

    def stop(self) -> None:
        """Stop the thread and wait for it, if Ctrl-C has let it begin."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        begun = self._thread.ident is not None
        if begun and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self, stops: tuple[threading.Event, ...]) -> None:
        stop_by(stops)
        error: BaseException | None = None
        try:
            self._fill()
        except BaseException as raised:
            error = raised
        try:
            close = getattr(self._items, "close", None)
            if close is not None:
                close()
        except BaseException as raised:
            error = error or raised
        with self._changed:
            self._error = error
            self._ended = True
            self._changed.notify_all()

    def _fill(self) -> None:
        for item in self._items:
            with self._changed:
                self._made.append(item)
                del item
                self._changed.notify_all()
                while len(self._made) >= self._depth:
                    check_stopped()
                    self._changed.wait()
            check_stopped()


_running: WeakSet[_Worker[Any]] = WeakSet()


@atexit.register
def _stop_all() -> None:
    """Python ends a thread that is inside FFmpeg or an engine in a way that can crash it."""
    for worker in list(_running):
        worker.stop()
