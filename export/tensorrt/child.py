"""Native code in a process of its own: its crash is an error message here and not the end.

The parent sends one task as JSON on the child's standard input and reads lines of JSON from its
standard output; whatever TensorRT prints goes to standard error. The child dies with its parent.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import IO, Any

from mer_edge.errors import MerEdgeError

PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from export.tensorrt.child import serve; serve(sys.argv[2], int(sys.argv[3]))"
)
PR_SET_PDEATHSIG = 1
TOLD_BYTES = 4000
SHOWN_CHARACTERS = 300
Progress = Callable[[str, int, int], None]


def run_in_child(
    task: str, request: dict[str, Any], what: str, progress: Progress | None = None
) -> dict[str, Any]:
    """Run one of ``export.tensorrt.tasks.TASKS`` in a child and return its answer.

    Args:
        what: names the work for messages: ``building the graph text``.
        progress: takes a phase's name, the steps done and their number.

    Raises:
        MerEdgeError: the task's own, or how the child ended: with which signal, and what it said.
    """
    # -I: the folder one happens to stand in is no place to import from.
    command = [sys.executable, "-I", "-c", PROGRAM, json.dumps(sys.path), task, str(os.getpid())]
    with tempfile.TemporaryFile() as stderr:
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
        ) as process:
            try:
                answer = _converse(process, request, progress)
            except BaseException:
                # Ctrl-C here, or an error of whoever draws the progress: the child has no purpose.
                process.kill()
                raise
        if answer is None:
            raise MerEdgeError(_how_it_ended(what, process.returncode, _tail(stderr)))
    if "error" in answer:
        raise MerEdgeError(answer["error"])
    result: dict[str, Any] = answer["result"]
    return result


def _converse(
    process: subprocess.Popen[bytes], request: dict[str, Any], progress: Progress | None
) -> dict[str, Any] | None:
    """Send the request and hear the child out; None where it ends without an answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError):  # it has ended already: its exit code tells why
        process.stdin.write(json.dumps(request).encode())
        process.stdin.close()
    answer = None
    for line in process.stdout:
        try:
            said = json.loads(line)
        except ValueError:
            continue  # cut off in the middle by the end of the child
        if "phase" in said:
            if progress is not None:
                progress(said["phase"], said["done"], said["steps"])
        else:
            answer = said
    return answer if process.wait() == 0 else None


def _how_it_ended(what: str, code: int, said: str) -> str:
    if code == -signal.SIGKILL:
        how = "was killed (SIGKILL), as the system does when memory runs out"
        advice = "close other programs, or give a smaller --workspace-mb"
    else:
        how = f"crashed with {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
        advice = "look at mer-edge doctor, and report it if TensorRT is sound"
    last = f", saying: {said}" if said else ""
    return f"{what}: the process {how}{last}; nothing was kept; {advice}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _tail(stderr: IO[bytes]) -> str:
    """The last line of what the child printed."""
    size = stderr.seek(0, os.SEEK_END)
    stderr.seek(max(0, size - TOLD_BYTES))
    lines = stderr.read().decode(errors="replace").strip().splitlines()
    return lines[-1].strip()[:SHOWN_CHARACTERS] if lines else ""


def serve(task: str, parent: int) -> None:
    """The child's whole life: read the request, do the task, answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, who ends this process
    _die_with(parent)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)  # what native code prints is no answer

    def say(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=answers, flush=True)

    def progress(phase: str, done: int, steps: int) -> None:
        say({"phase": phase, "done": done, "steps": steps})

    from export.tensorrt.tasks import TASKS

    request = json.loads(sys.stdin.buffer.read())
    try:
        say({"result": TASKS[task](request, progress)})
    except MerEdgeError as error:
        say({"error": str(error)})
    sys.stderr.flush()
    os._exit(0)  # all is said and written: what native code does at the end cannot spoil it


def _die_with(parent: int) -> None:
    """Ask Linux to end this process when its parent is gone, even by kill -9."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # gone before it was asked
        os._exit(1)
