"""Being asked to stop: finish the step, save, go."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Whether somebody has asked this process to end."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    @property
    def name(self) -> str:
        return "" if self.signal is None else self.signal.name


class Stopped(Exception):  # noqa: N818 - not an error: the run goes on with --resume
    """A run that ended because it was asked to; its state is saved."""

    def __init__(self, message: str, request: StopRequest) -> None:
        super().__init__(message)
        self.exit_code = 128 + int(request.signal or signal.SIGTERM)


@contextmanager
def listening() -> Iterator[StopRequest]:
    """Note SIGTERM and Ctrl-C instead of dying of them; a second Ctrl-C ends the process at once.

    Outside the main thread nothing is caught: Python delivers signals there alone.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, frame: FrameType | None) -> None:
        if request.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.signal = signal.Signals(number)

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
