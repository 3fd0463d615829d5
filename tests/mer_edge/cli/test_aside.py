"""Work that takes signals for itself does not get them, and is ended in order."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time

import pytest

from mer_edge.cli.aside import LOOK_EVERY_S, run_aside
from mer_edge.cli.signals import ending_in_order

IGNORE = ctypes.c_void_p(1)


pytestmark = pytest.mark.usefixtures("as_in_a_new_process")


def test_what_it_gives_and_what_it_raises() -> None:
    assert run_aside(lambda: threading.current_thread() is threading.main_thread()) is False
    with pytest.raises(ZeroDivisionError):
        run_aside(lambda: 1 // 0)


def test_its_thread_stays() -> None:
    thread = run_aside(threading.current_thread)
    time.sleep(0.05)
    assert thread.is_alive()
    assert thread.daemon


def test_beside_another_thread_there_is_none() -> None:
    seen = []
    thread = threading.Thread(target=lambda: seen.append(run_aside(threading.current_thread)))
    thread.start()
    thread.join()
    assert seen == [thread]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("native", [False, True], ids=["ours", "native"])
def test_a_signal_is_answered_and_the_work_waited_for(number: signal.Signals, native: bool) -> None:
    done = []

    def work() -> None:
        if native:
            ctypes.CDLL(None).signal(number, IGNORE)
            time.sleep(10 * LOOK_EVERY_S)
        os.kill(os.getpid(), number)
        time.sleep(0.05)
        if native:
            ctypes.CDLL(None).signal(number, IGNORE)
        done.append(True)

    with ending_in_order() as ending:
        with pytest.raises(KeyboardInterrupt):
            run_aside(work)
        assert done == [True]
        assert ending.signal == number
        assert signal.getsignal(number) == ending.handle
