"""Work that would take signals for itself, beside the thread that answers them."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from mer_edge.cli.signals import USUAL

LOOK_EVERY_S = 0.005
WAIT_FOR_WORK_S = 20.0
T = TypeVar("T")


def run_aside(work: Callable[[], T]) -> T:
    """Run ``work`` in another thread while this one, the main one, answers signals.

    There it cannot set handlers of Python's, and a native one stays no longer than
    ``LOOK_EVERY_S``. The thread lives as long as the process, because a system may end what was
    started in a thread together with it.

    Raises:
        KeyboardInterrupt: a signal has come. ``work`` was waited for, though not for ever, so that
            what it has begun can be ended.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    handlers = {number: signal.getsignal(number) for number in USUAL}
    outcome: Future[T] = Future()
    thread = threading.Thread(target=_work_and_stay, args=(work, outcome), daemon=True)
    try:
        thread.start()
        _wait(outcome, handlers, math.inf)
    except KeyboardInterrupt:
        _wait(outcome, handlers, WAIT_FOR_WORK_S)
        raise
    return outcome.result()


def _wait(outcome: Future[T], handlers: Mapping[signal.Signals, Any], most_s: float) -> None:
    end_s = time.monotonic() + most_s
    while not outcome.done() and time.monotonic() < end_s:
        _set_again(handlers)
        wait([outcome], LOOK_EVERY_S)
    _set_again(handlers)


def _set_again(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        if handler is not None:  # None: a native one from before, which Python cannot set
            signal.signal(number, handler)


def _work_and_stay(work: Callable[[], T], outcome: Future[T]) -> None:
    try:
        outcome.set_result(work())
    except BaseException as error:
        outcome.set_exception(error)
    threading.Event().wait()
