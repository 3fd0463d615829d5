"""Which commit of this project is running."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""Of the checkout, if it is one."""


def commit(root: Path = ROOT) -> str:
    """The checkout's commit (40 hex digits), with ``-dirty`` if tracked files differ from it.

    "" for an installed package: a repository around its environment is not this project's.
    """
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty"]
    try:
        # No tag matches: always the hash itself.
        described = subprocess.run(
            [*command, "--exclude", "*"], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return described.stdout.strip()
