"""The command line: ``mer-edge COMMAND``. Kept light, so that --help answers at once."""

from __future__ import annotations

from mer_edge.cli.main import main

__all__ = ["main"]
