import json
from pathlib import Path

import pytest

from tests.once import made_once
from train.datasets.drawn import generate


@pytest.fixture(scope="session")
def drawn_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 generated clips of four people, prepared at most once in a test session."""

    def draw(folder: Path) -> None:
        generate(folder / "data", 16, seed=3, workers=1)

    return made_once(tmp_path_factory, "drawn", draw) / "data"


@pytest.fixture
def few_clips(drawn_data: Path, tmp_path: Path) -> Path:
    """A folder with a manifest of the same clips, which a test may rewrite."""
    lines = []
    for text in (drawn_data / "manifest.jsonl").read_text().splitlines():
        line = json.loads(text)
        lines.append(json.dumps({**line, "media": str(drawn_data / line["media"])}) + "\n")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "manifest.jsonl").write_text("".join(lines))
    return folder
