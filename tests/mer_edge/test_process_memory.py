"""Peaks of processes that hold a known amount."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mer_edge.process_memory import peak_memory

PROGRAM = """
from mer_edge.process_memory import peak_memory
before = peak_memory().peak_bytes
held = bytearray(b"x") * 200_000_000
del held
print(before, peak_memory().peak_bytes)
"""


def test_memory_that_was_freed_again_counts() -> None:
    before, after = map(int, run(PROGRAM).split())
    assert 190e6 < after - before < 230e6


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux's count")
def test_what_the_parent_holds_does_not_count() -> None:
    held = bytearray(b"x") * 300_000_000
    before, _ = map(int, run(PROGRAM).split())
    assert before < 100e6 < len(held)


def test_the_status_of_linux_is_in_kib(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tx\nVmHWM:\t  2048 kB\nRssAnon:\t 1024 kB\nRssFile:\t 512 kB\n")
    found = peak_memory(status)
    assert found is not None
    assert (found.peak_bytes, found.anonymous_bytes, found.file_bytes) == (
        2 << 20,
        1 << 20,
        1 << 19,
    )
    status.write_text("Name:\tx\n")
    found = peak_memory(status)
    assert found is not None
    assert found.peak_bytes > 10e6
    assert found.anonymous_bytes is None


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
