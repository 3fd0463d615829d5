"""A signal that comes before the command has begun is told like any other."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
import os, sys
from mer_edge.cli.start import main

class Finder:
    def find_spec(name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), {number:d})

sys.meta_path.insert(0, Finder)
sys.exit(main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "module",
    [
        "mer_edge.cli.signals",  # held back until somebody listens
        "mer_edge.cli.main",
        "mer_edge.stages",
        "runtime.command",
    ],
)
def test_a_signal_in_the_first_imports(module: str, number: signal.Signals) -> None:
    program = PROGRAM.format(module=module, number=number)
    done = subprocess.run(
        [sys.executable, "-c", program, "infer", "--help"],
        cwd=ROOT,
        capture_output=True,
        # Who is started in the background by a shell ignores it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert (done.returncode, done.stdout) == (128 + number, b"")
    assert done.stderr == b"interrupted\n"


def test_a_fault_in_them_is_still_told_as_one() -> None:
    program = PROGRAM.format(module="", number=0) + "\n"
    program = program.replace("sys.exit", "sys.modules['mer_edge.cli.main'] = None; sys.exit")
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True)
    assert done.returncode == 1
    assert b"import of mer_edge.cli.main halted" in done.stderr


def test_almost_nothing_comes_before() -> None:
    program = (
        "import sys; before = set(sys.modules); import mer_edge.cli.start;"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"typing", "argparse", "threading", "mer_edge.errors"} & set(done.stdout.split())


def test_it_is_what_is_installed_and_what_runs_as_a_module() -> None:
    scripts = (ROOT / "pyproject.toml").read_text()
    assert '\nmer-edge = "mer_edge.cli.start:main"\n' in scripts
    done = subprocess.run(
        [sys.executable, "-m", "mer_edge", "--version"], cwd=ROOT, capture_output=True
    )
    assert (done.returncode, done.stdout.startswith(b"mer-edge ")) == (0, True)
