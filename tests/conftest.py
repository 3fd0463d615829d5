"""What several packages' tests need and is too slow to make twice."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.once import made_once

# For this process and those it starts, before any of them loads PyTorch: the tests' tensors are
# too small to share out among cores, and the cores have other tests to run.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Nothing is remembered in the cache of whoever runs the tests.
os.environ.setdefault("MER_EDGE_CACHE", tempfile.mkdtemp(prefix="mer-edge-tests-cache-"))


def make_demo(home: Path) -> None:
    """A demo with the fewest clips, as a user starts it, and what it said beside it."""
    command = [sys.executable, "-m", "mer_edge", "demo", "--clips", "12", "--seed", "5"]
    cwd = home / "cwd"
    cwd.mkdir()
    ran = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    (home / "ran.json").write_text(json.dumps([ran.returncode, ran.stdout, ran.stderr]))


@pytest.fixture(scope="session")
def finished_demo(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The demo's folder, and the finished process.

    Read only: copy the folder to change it.
    """
    home = made_once(tmp_path_factory, "finished-demo", make_demo)
    ran = json.loads((home / "ran.json").read_text())
    return home / "cwd/demo", subprocess.CompletedProcess("mer-edge demo", *ran)
