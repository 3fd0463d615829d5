"""Ctrl-C and SIGTERM end a command the same way: by a KeyboardInterrupt, and in good order.

What is asked once must not get lost: libraries turn a KeyboardInterrupt into an ImportError or an
exception of their own, and Python drops one that comes while an object is destroyed. So it is kept
that a signal has come, for loops to look at.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ONE_REQUEST_S = 1.0
"""Signals that follow the first so soon are the same wish: timeout(1) sends two."""
USUAL: dict[signal.Signals, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}
"""What is replaced; a handler that somebody else has set, or that ignores, stays."""


class Asked(KeyboardInterrupt):
    """Somebody has asked for the end.

    A class of its own, because of the plain one Python remembers that it passed through an exec(),
    as that of a dataclass or namedtuple is, and ends the process by SIGINT whatever it returns.
    """


class Ending:
    """Whether this process was asked to end, and how."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._asked_s = 0.0
        self._process = os.getpid()

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The handler; a second request, later, ends the process at once."""
        if os.getpid() != self._process:  # a fork of ours dies as it would without us
            _die(number)
        elif self.signal is None:
            self.signal, self._asked_s = signal.Signals(number), time.monotonic()
            raise Asked
        elif time.monotonic() - self._asked_s > ONE_REQUEST_S:
            _die(number)

    def check(self) -> None:
        """Called once a file or so.

        Raises:
            Asked: a signal has come, whatever became of its own exception.
        """
        if self.signal is not None:
            raise Asked


_ending = Ending()


@contextmanager
def ending_in_order() -> Iterator[Ending]:
    """Listen to both signals; not inside another of these, nor outside the main thread."""
    global _ending
    inside = any(signal.getsignal(number) == _ending.handle for number in USUAL)
    if inside or threading.current_thread() is not threading.main_thread():
        yield _ending
        return
    before = _ending
    ours = {number for number, usual in USUAL.items() if signal.getsignal(number) == usual}
    _ending = Ending()
    for number in ours:
        signal.signal(number, _ending.handle)
    try:
        yield _ending
    finally:
        for number in ours:
            signal.signal(number, USUAL[number])
        _ending = before


def check_ending() -> None:
    """See ``Ending.check``; of the command that runs now."""
    _ending.check()


def _die(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
