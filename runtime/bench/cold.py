"""Cold starts: new processes, one after the other, each of which makes one decision."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mer_edge.errors import MerEdgeError
from mer_edge.process_memory import PeakMemory
from runtime.bench.report import ColdStart
from runtime.bench.summary import Latency

PROGRAM = (
    "import time; begun = time.perf_counter(); import json, sys; "
    "sys.path[:] = json.loads(sys.argv[1]); from mer_edge.stages import load_stage; "
    "load_stage('runtime.bench.cold_child').main(begun, sys.argv[2])"
)


@dataclass(frozen=True)
class ColdRun:
    """One process."""

    first_decision_ms: float
    """From the call that starts it."""
    phases_ms: dict[str, float]
    engine: str
    memory: PeakMemory | None


def cold_run(
    bundle: Path, device: str, threads: int | None, clip: Path | None, file: Path | None
) -> ColdRun:
    """Start a process and hear how its first decision went.

    Args:
        clip: .npz of ``mer_edge.clip_file``; or
        file: a media file, which is decoded in the process.

    Raises:
        MerEdgeError: the process's own, or how it ended.
    """
    request = {
        "bundle": str(bundle.absolute()),
        "device": device,
        "threads": threads,
        "clip": None if clip is None else str(clip.absolute()),
        "file": None if file is None else str(file.absolute()),
    }
    # -I: the folder one happens to stand in is no place to import from.
    command = [sys.executable, "-I", "-c", PROGRAM, json.dumps(sys.path), json.dumps(request)]
    started_s = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    answer = _answer(done)
    phases = {"start": (answer["begun_s"] - started_s) * 1e3, **answer["phases_ms"]}
    memory = answer["memory"]
    return ColdRun(
        first_decision_ms=(answer["decided_s"] - started_s) * 1e3,
        phases_ms=phases,
        engine=answer["engine"],
        memory=None if memory is None else PeakMemory(**memory),
    )


def _answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        lines = done.stderr.strip().splitlines()
        said = f", saying: {lines[-1][:300]}" if lines else ""
        raise MerEdgeError(
            f"a fresh process that loads the bundle ended with {done.returncode}{said}; "
            "run mer-edge doctor, or leave the cold starts out with --cold-runs 0"
        ) from None
    if "error" in answer:
        raise MerEdgeError(answer["error"])
    return answer


def measure_cold(
    count: int, once: Callable[[], ColdRun], step: Callable[[int], None]
) -> tuple[ColdStart | None, PeakMemory | None, bool]:
    """``count`` cold runs; Ctrl-C ends them early.

    Returns:
        The figures and the largest memory, None where there is none; whether it was interrupted.
    """
    runs: list[ColdRun] = []
    interrupted = False
    try:
        for number in range(count):
            runs.append(once())
            step(number + 1)
    except KeyboardInterrupt:
        interrupted = True
    if not runs:
        return None, None, interrupted
    memories = [run.memory for run in runs if run.memory is not None]
    largest = max(memories, key=lambda memory: memory.peak_bytes, default=None)
    return summarise(runs), largest, interrupted


def summarise(runs: Sequence[ColdRun]) -> ColdStart:
    """Figures of at least one run."""
    phases = {
        name: statistics.median(run.phases_ms[name] for run in runs) for name in runs[0].phases_ms
    }
    return ColdStart(Latency.of([run.first_decision_ms for run in runs]), phases)
