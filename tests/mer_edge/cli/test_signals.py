"""Ctrl-C and SIGTERM end a command with one sentence and the right exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mer_edge.cli import main as main_module
from mer_edge.cli.signals import check_ending, ending_in_order

ROOT = Path(__file__).parents[3]


pytestmark = pytest.mark.usefixtures("as_in_a_new_process")


def test_both_signals_are_a_keyboard_interrupt_and_are_remembered() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        with ending_in_order() as ending:
            check_ending()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
            assert ending.signal == number
            with pytest.raises(KeyboardInterrupt):
                check_ending()
            signal.raise_signal(number)  # soon after: the same wish
    check_ending()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_what_others_have_set_stays() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ending_in_order():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_one_inside_the_other_is_the_same() -> None:
    with ending_in_order() as outer:
        with ending_in_order() as inner:
            assert inner is outer
        assert signal.getsignal(signal.SIGTERM) == outer.handle


def test_other_threads_leave_it_alone() -> None:
    seen = []

    def look() -> None:
        with ending_in_order():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
@pytest.mark.parametrize("becomes", ["KeyboardInterrupt", "ImportError", "SystemError"])
def test_one_sentence_and_a_code(
    number: int,
    code: int,
    becomes: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(arguments: list[str]) -> int:
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            if becomes == "ImportError":
                from mer_edge.errors import MissingExtraError

                raise MissingExtraError("running", "onnxruntime", "cpu") from None
            if becomes == "SystemError":
                raise SystemError("returned a result with an exception set") from None
            raise
        return 0

    monkeypatch.setattr(main_module, "_run", run)
    assert main_module.main([]) == code
    assert capsys.readouterr().err == "interrupted\n"


def test_an_exception_that_nobody_asked_for_is_still_a_defect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(arguments: list[str]) -> int:
        raise SystemError("a defect")

    monkeypatch.setattr(main_module, "_run", run)
    with pytest.raises(SystemError, match="a defect"):
        main_module.main([])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_code_is_ours_wherever_it_comes(number: signal.Signals) -> None:
    # As a signal in the making of a dataclass: Python would end by SIGINT, whatever main returns.
    program = (
        "import os, sys; from mer_edge.cli import main as m;"
        f"m._run = lambda arguments: exec('os.kill(os.getpid(), {number:d}); print()', vars(os) | "
        "{'os': os});"
        "sys.exit(m.main([]))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True)
    assert (done.returncode, done.stderr) == (128 + number, b"interrupted\n")


def test_a_later_request_ends_the_process_at_once() -> None:
    program = (
        "import os, signal, time; from mer_edge.cli import signals;"
        "signals.ONE_REQUEST_S = 0.05\n"
        "with signals.ending_in_order():\n"
        "    try: os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)\n"
        "    except KeyboardInterrupt: pass\n"
        "    time.sleep(0.1); os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=30)
    assert done.returncode == -signal.SIGTERM


def test_a_fork_dies_as_without_us() -> None:
    with ending_in_order():
        child = os.fork()
        if child == 0:
            signal.raise_signal(signal.SIGTERM)
            os._exit(0)
        _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGTERM
