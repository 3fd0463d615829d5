"""A process ends with its exit code although a thread waits in foreign code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import os, sys, threading, time
from mer_edge.left_behind import end_process, leave_behind

reader, writer = os.pipe()
thread = threading.Thread(target=os.read, args=(reader, 1), daemon=True)
thread.start()
leave_behind(thread)
if "ended" in sys.argv:
    os.write(writer, b"x")
    thread.join()
sys.stdout.write("said")
end_process(130)
sys.exit(7)
"""


@pytest.mark.parametrize(("state", "code"), [("waits", 130), ("ended", 7)])
def test_it_is_ended_at_once_where_a_thread_waits(state: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, state], cwd=ROOT, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, b"said", b"")
