"""Running a probe in a process of its own: a package that crashes takes only its probe with it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

from mer_edge.doctor.finding import Finding

TIMEOUT_S = 120
MARK = "mer-edge-finding:"
"""Stands before the answer: packages may print what they like."""
PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from mer_edge.doctor.probes import answer; answer(sys.argv[2], sys.argv[3:])"
)


def run_isolated(name: str, probe: str, *arguments: str, timeout_s: float = TIMEOUT_S) -> Finding:
    """The finding of ``mer_edge.doctor.probes.<probe>(*arguments)``, named ``name``.

    Whatever happens in there (an exception, a crash, no end) is a finding of status ``broken``.
    """
    # -I: the folder one happens to stand in is no place to import from.
    command = [sys.executable, "-I", "-c", PROGRAM, json.dumps(sys.path), probe, *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        return Finding(name, "broken", f"gave no answer in {timeout_s:g} s")
    except OSError as error:
        return Finding(name, "broken", f"could not be tried: {error}")
    for line in reversed(done.stdout.splitlines()):
        if line.startswith(MARK):
            found: dict[str, Any] = json.loads(line[len(MARK) :])
            return Finding(name, **found)
    return Finding(name, "broken", _how_it_ended(done.returncode, done.stderr))


def _how_it_ended(code: int, stderr: str) -> str:
    if code < 0:
        try:
            return f"crashed with {signal.Signals(-code).name}"
        except ValueError:
            return f"crashed with signal {-code}"
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[-1][:300] if lines else f"ended with exit code {code} and no answer"
