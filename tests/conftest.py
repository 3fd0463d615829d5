"""What several packages' tests need and is too slow to make twice."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def finished_demo(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A demo with the fewest clips, as a user starts it: its folder, and the finished process.

    Read only: copy the folder to change it.
    """
    home = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "mer_edge", "demo", "--clips", "12", "--seed", "5"]
    return home / "demo", subprocess.run(command, cwd=home, capture_output=True, text=True)
