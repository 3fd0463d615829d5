"""Ctrl-C and SIGTERM while a stream waits: soon, in good order, with what was decided on disk."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.stream.aside import aside
from tests.runtime.media import face_video, tone_wav
from tests.runtime.stream.servers import remuxed

ROOT = Path(__file__).parents[3]
SOON_S = 1.5
"""In which a command ends; it is some tens of ms on a machine that has nothing else to do."""
PACKET = b"\x47\x1f\xff\x10" + bytes(184)
"""Of an MPEG-TS, empty: something has come, and says nothing."""


def started(bundle: Path, *arguments: str | Path, **options: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mer_edge", "infer", str(bundle), *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        **options,
    )


def until(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def end(process: subprocess.Popen[bytes], number: signal.Signals) -> tuple[str, str]:
    """Send the signal; stdout and stderr of a process that ends soon and as it should."""
    time.sleep(0.3)  # what came was looked at, and the wait for more has begun
    assert process.poll() is None
    process.send_signal(number)
    shown, err = process.communicate(timeout=30)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    return (shown or b"").decode(), err.decode()


def unread(file: int) -> int:
    """Bytes in a pipe."""
    left = array.array("i", [0])
    fcntl.ioctl(file, termios.FIONREAD, left)
    return left[0]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        opened.listen()
        opened.settimeout(60)
        yield opened


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_silent_stdin(bundle_path: Path, number: signal.Signals) -> None:
    process = started(bundle_path, "--stream", "-", stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(PACKET)
    process.stdin.flush()
    pipe = process.stdin.fileno()
    until(lambda: unread(pipe) == 0)
    assert end(process, number)[1] == "interrupted\n"


def test_a_named_pipe_whose_writer_is_silent(bundle_path: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = started(bundle_path, "--stream", pipe)
    with pipe.open("wb", buffering=0) as writer:
        writer.write(PACKET)
        until(lambda: unread(writer.fileno()) == 0)
        assert end(process, signal.SIGTERM)[1] == "interrupted\n"


def test_a_silent_port(bundle_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        place = probe.getsockname()

    def is_taken() -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            try:
                other.bind(place)
            except OSError as error:
                return error.errno == errno.EADDRINUSE
        return False

    process = started(bundle_path, "--stream", f"udp://127.0.0.1:{place[1]}")
    until(is_taken)
    assert end(process, signal.SIGTERM)[1] == "interrupted\n"


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_server_that_never_answers(
    bundle_path: Path, listener: socket.socket, scheme: str
) -> None:
    url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/live.ts"
    process = started(bundle_path, "--stream", url)
    accepted, _ = listener.accept()
    with accepted:
        assert end(process, signal.SIGINT)[1] == "interrupted\n"


@pytest.mark.parametrize("source", ["stdin", "http"])
def test_silence_midway(
    bundle_path: Path, tmp_path: Path, listener: socket.socket, source: str
) -> None:
    """Both ways a thread waits: in a read of a pipe, and for a socket."""
    data = remuxed(face_video(tmp_path / "face.mp4", 4.0), tmp_path / "face.ts")
    out = tmp_path / "decisions.jsonl"
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/live.ts"
    given = {"stdin": "-", "http": url}[source]
    process = started(
        bundle_path, "--stream", given, "--json", "--out", out,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    if source == "http":
        accepted, _ = listener.accept()
        with accepted:
            accepted.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + data)
            until(lambda: out.exists() and out.read_bytes().count(b"\n") >= 3)
            shown, err = end(process, signal.SIGTERM)
    else:
        process.stdin.write(data)
        process.stdin.flush()
        until(lambda: out.exists() and out.read_bytes().count(b"\n") >= 3)
        shown, err = end(process, signal.SIGTERM)
    assert shown == out.read_text()
    decisions = shown.count("\n")
    assert decisions >= 3
    summary, told = err.splitlines()
    assert summary.startswith(f"{'stdin' if source == 'stdin' else url}: {decisions} decisions")
    assert told == f"interrupted: {decisions} decisions are in {out}"


def test_the_wait_for_a_lost_source(
    bundle_path: Path, tmp_path: Path, listener: socket.socket
) -> None:
    """It answers once, and then takes connections without a word."""
    data = remuxed(face_video(tmp_path / "face.mp4", 2.0), tmp_path / "face.ts")
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/live.ts"
    process = started(bundle_path, "--stream", url, "--quiet", stdout=subprocess.PIPE)
    accepted, _ = listener.accept()
    with accepted:
        accepted.recv(65536)
        accepted.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + data)
    again, _ = listener.accept()
    with again:
        shown, err = end(process, signal.SIGINT)
    assert shown.count("\n") == 2
    assert err == "interrupted after 2 decisions\n"


@pytest.mark.parametrize("shown", [[], ["--json"]])
def test_a_reader_that_goes_with_the_same_ctrl_c(
    bundle_path: Path, tmp_path: Path, shown: list[str]
) -> None:
    """As ``mer-edge ... | tee FILE`` on a terminal."""
    sound = tone_wav(tmp_path / "tone.wav", 20.0)
    process = started(bundle_path, "--stream", sound, "--realtime", *shown, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert process.stderr is not None
    with process.stderr:
        told = process.stderr.read().decode().splitlines()
    assert told[-1].startswith("interrupted after ")
    assert len(told) == 1 + bool(shown)


def test_a_reader_that_does_not_read(bundle_path: Path, tmp_path: Path) -> None:
    """The pipe is full; neither the summary nor the end waits for room in it."""
    sound = tone_wav(tmp_path / "tone.wav", 300.0)
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    process = started(bundle_path, "--stream", sound, stdout=writer)
    os.close(writer)
    until(lambda: unread(reader) > 4096 - 200)
    assert end(process, signal.SIGTERM)[1].startswith("interrupted after ")
    os.close(reader)


def test_what_nobody_waits_for_any_more_is_put_away() -> None:
    begun, let_go = threading.Event(), threading.Event()
    put_away: list[str] = []

    def work() -> str:
        begun.set()
        let_go.wait()
        return "done"

    def interrupt() -> None:
        begun.wait()
        os.kill(os.getpid(), signal.SIGUSR1)

    def handle(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            aside(work, put_away.append)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert put_away == []
    let_go.set()
    until(lambda: put_away == ["done"])


def test_what_is_done_aside_is_returned_or_raised() -> None:
    def fails() -> int:
        raise ValueError("no")

    assert aside(lambda: 3, print) == 3
    with pytest.raises(ValueError, match="no"):
        aside(fails, print)
