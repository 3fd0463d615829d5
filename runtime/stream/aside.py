"""What may wait for long is done in a thread, so that a signal reaches who waits for it.

Python handles a signal between two steps of the main thread. There are none while FFmpeg waits: it
begins a read of a pipe again, and waits for a socket until its time is up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from mer_edge.left_behind import leave_behind

T = TypeVar("T")

LOOK_S = 0.2
"""How long to wait before looking for a signal, where none ends the wait (Windows)."""


def aside(work: Callable[[], T], discard: Callable[[T], None]) -> T:
    """Do ``work`` in a thread of its own, and wait for it.

    A wait that is broken off, as by Ctrl-C, leaves the thread to itself: it ends with its work, or
    with the process, which does not wait for it.

    Args:
        discard: gets what nobody waits for any more.

    Returns:
        What ``work`` returns; what it raises is raised.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # raised by who waits
            outcome.set_exception(error)

    thread = threading.Thread(target=run, daemon=True, name="aside")
    try:
        thread.start()
        while not outcome.done():
            wait([outcome], LOOK_S)
    except BaseException:
        leave_behind(thread)
        outcome.add_done_callback(lambda done: None if done.exception() else discard(done.result()))
        raise
    return outcome.result()
