"""A stand-in for the built-in bundle: the tiny one with a card, in a folder of the test's own."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mer_edge import starter_bundle
from mer_edge.bundle import Bundle, ModelCard, write_manifest

TINY = Path(__file__).parent / "data" / "tiny-bundle"
CARD = ModelCard(
    name="stand-in 1",
    summary="random weights, 0 of 7 right",
    licence="CC BY-NC-SA 4.0",
    intended_use="tests only",
)
MODEL_LINE = "model: stand-in 1 (CC BY-NC-SA 4.0): random weights, 0 of 7 right"
USE_LINE = "intended use: tests only"


def make_starter(folder: Path) -> Path:
    """The bundle in ``folder / "starter"``."""
    starter = folder / "starter"
    shutil.copytree(TINY, starter)
    write_manifest(starter, replace(Bundle.load(TINY).manifest, card=CARD))
    for name in (starter_bundle.MODEL_CARD, starter_bundle.LICENCE):
        (starter / name).write_text("For tests.\n")
    return starter


@pytest.fixture
def starter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands in for the built-in bundle in this process."""
    path = make_starter(tmp_path / "package")
    monkeypatch.setattr(starter_bundle, "STARTER", path)
    return path
