import json
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest


class Trained(NamedTuple):
    """The demo's data, run and bundle, and a place for prepared clips."""

    data: Path
    run: Path
    bundle: Path
    store: Path


@pytest.fixture(scope="session")
def trained(
    finished_demo: tuple[Path, subprocess.CompletedProcess[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Trained:
    """Read only, but for the prepared clips."""
    folder, process = finished_demo
    assert process.returncode == 0, process.stderr
    store = tmp_path_factory.mktemp("prepared")
    return Trained(folder / "data", folder / "run", folder / "bundle", store)


@pytest.fixture
def manifest_of(trained: Trained, tmp_path: Path):
    """Write the demo's manifest anew, each line passed through a function; None drops it."""

    def write(change) -> Path:
        folder = tmp_path / "data"
        folder.mkdir()
        lines = []
        for text in (trained.data / "manifest.jsonl").read_text().splitlines():
            line = json.loads(text)
            changed = change({**line, "media": str(trained.data / line["media"])})
            if changed is not None:
                lines.append(json.dumps(changed) + "\n")
        (folder / "manifest.jsonl").write_text("".join(lines))
        return folder

    return write
