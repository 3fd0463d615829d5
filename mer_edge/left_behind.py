"""Threads that wait in foreign code when a command ends, and how it ends although they do.

A thread in FFmpeg or CTranslate2 cannot be told to stop. When it comes back to an interpreter that
is being taken apart, the process crashes; so that is not done while there is one.
"""

from __future__ import annotations

import os
import sys
import threading

_left: list[threading.Thread] = []


def leave_behind(thread: threading.Thread) -> None:
    """Nobody waits any more for ``thread``, a daemon, which may be at work still."""
    _left[:] = [*(known for known in _left if known.is_alive()), thread]


def end_process(code: int) -> None:
    """End at once with ``code`` if a thread was left behind that is at work; else do nothing.

    For the end of a process of ours alone: what others have registered with ``atexit`` is not run.
    """
    if not any(thread.is_alive() for thread in _left):
        return
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # the reader has gone, or it is closed
            continue
    os._exit(code)
