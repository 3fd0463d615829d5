"""An ablation's folder: the table in four forms beside the runs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from mer_edge.errors import MerEdgeError
from mer_edge.files import new_file
from train.ablation.kept import RUNS_KEPT
from train.ablation.picture import draw_ablation
from train.ablation.result import Ablation
from train.ablation.tables import cells_csv, markdown, runs_csv

ABLATION_FILE = "ablation.json"


def check_out(out: Path) -> None:
    """Refuse a folder that holds something else; that of an earlier ablation is gone on with.

    Raises:
        MerEdgeError: ``out`` is a file, or a folder with files but no ``ablation.json``.
    """
    if not out.exists() or (out / ABLATION_FILE).is_file():
        return
    if not out.is_dir() or any(out.iterdir()):
        raise MerEdgeError(
            f"{out} is not an ablation's folder ({ABLATION_FILE} is not in it); expected a new "
            "one, or one to go on with; name another --out"
        )


def write_ablation(out: Path, ablation: Ablation) -> None:
    """Write every form of the table, each whole or not at all.

    Raises:
        MerEdgeError: the disk says no.
    """
    # The marker of the folder first.
    _write(out / ABLATION_FILE, as_json(ablation, indent=1) + "\n")
    _write(out / "ablation.md", markdown(ablation))
    _write(out / "ablation.csv", cells_csv(ablation))
    _write(out / "runs.csv", runs_csv(ablation))
    draw_ablation(ablation, out / "ablation.png", RUNS_KEPT)


def as_json(ablation: Ablation, indent: int | None = None) -> str:
    """Without NaN, which JSON does not have."""
    return json.dumps(asdict(ablation), allow_nan=False, indent=indent)


def _write(file: Path, text: str) -> None:
    with new_file(file, "writing the ablation", advice=RUNS_KEPT) as temporary:
        temporary.write_text(text, encoding="utf-8")
