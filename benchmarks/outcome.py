"""What a benchmark has found: kept as JSON and as a page, and shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mer_edge.files import new_file


def publish(outcome: dict[str, Any], page: str, out: Path, name: str) -> None:
    """Write ``name.json`` and ``name.md`` into ``out``, each whole or not; print the page."""
    for file, content in (
        (f"{name}.json", json.dumps(outcome, indent=1) + "\n"),
        (f"{name}.md", page),
    ):
        with new_file(out / file, "writing the result") as temporary:
            temporary.write_text(content, encoding="utf-8")
    print(page)
