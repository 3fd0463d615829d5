"""A program that runs when it is told to, in a process of its own, and says how long it took.

The child's side of a comparison in turns: its libraries, their threads and their memory are not in
the process of whoever asks. Standard input brings the request as a line of JSON and then one line a
turn; standard output gives one line of JSON for each; whatever libraries print goes to standard
error. The child ends with its parent.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from mer_edge.errors import MerEdgeError
from mer_edge.process_memory import peak_memory

PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Runner:
    """Something that decides on one clip again and again."""

    run: Callable[[], NDArray[Any]]
    """Clip in, logits (M,) out; returns once they are there."""
    engine: str
    """What runs it, with the version that counts."""
    notes: tuple[str, ...] = ()
    """What a reader of its times must know."""
    versions: dict[str, str] = field(default_factory=dict)


def serve(make: Callable[[dict[str, Any]], Runner], parent: int) -> None:
    """The child's whole life.

    Args:
        make: the runner of a request; a MerEdgeError or a missing package is told to the parent.
        parent: the process that must be there.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, who ends this process
    _die_with(parent)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)  # what libraries print is no answer
    _converse(make, sys.stdin, answers)
    sys.stderr.flush()
    os._exit(0)  # all is said: what native code does at the end cannot spoil it


def _converse(make: Callable[[dict[str, Any]], Runner], asked: IO[str], answers: IO[str]) -> None:
    def say(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=answers, flush=True)

    try:
        runner = make(json.loads(asked.readline()))
        ready = {"engine": runner.engine, "notes": runner.notes, "versions": runner.versions}
        say({"ready": ready})
        for _ in asked:
            say(_turn(runner))
    except MerEdgeError as error:
        say({"error": str(error)})
    except ModuleNotFoundError as error:
        say({"missing": (error.name or "").split(".")[0]})


def _turn(runner: Runner) -> dict[str, Any]:
    started = time.perf_counter()
    logits = runner.run()
    wall_ms = (time.perf_counter() - started) * 1e3
    memory = peak_memory()
    return {
        "wall_ms": wall_ms,
        "logits": np.asarray(logits, np.float64).ravel().tolist(),
        "memory": None if memory is None else asdict(memory),
    }


def _die_with(parent: int) -> None:
    """Ask Linux to end this process when its parent is gone, even by kill -9."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # gone before it was asked
        os._exit(1)
