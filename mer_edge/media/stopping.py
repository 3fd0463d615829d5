"""Stopping a thread that reads media, within the packet it is at."""

from __future__ import annotations

import threading


class Stopped(BaseException):
    """Nobody waits any more for what this thread makes. It ends the thread and goes no further."""


class _OfThread(threading.local):
    stops: tuple[threading.Event, ...] = ()


_of_thread = _OfThread()


def stops() -> tuple[threading.Event, ...]:
    """The events that stop the calling thread; any of them does. None for the user's own."""
    return _of_thread.stops


def stop_by(events: tuple[threading.Event, ...]) -> None:
    """From now on each of ``events`` stops the calling thread."""
    _of_thread.stops = events


def check_stopped() -> None:
    """Called once a packet and once a picture.

    Raises:
        Stopped: the calling thread is to end.
    """
    if any(event.is_set() for event in _of_thread.stops):
        raise Stopped
