"""The figures of finished runs, kept beside them, so that nothing is predicted twice."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from mer_edge import __version__
from mer_edge.bundle import sha256_of
from mer_edge.files import new_file
from mer_edge.model.checkpoint_files import BEST
from train.evaluation.data import EvaluationData

RUNS_KEPT = "the runs so far are kept; free some space and give the same command again"
"""Where the disk of an ablation is full."""
FIGURES_FILE = "figures.json"
"""In the run's folder, which goes as a whole when a run is begun anew."""


@dataclass(frozen=True)
class FiguresOf:
    """What a run's figures depend on; where any of it is another one they are made again."""

    release: str
    """Of this project."""
    data_fingerprint: str
    clips: str
    """SHA-256 of the names of the clips asked about: fewer than the data has may be usable."""
    checkpoint: dict[str, str]
    """SHA-256 of each file of the best model's."""


@dataclass(frozen=True)
class Kept:
    """``figures.json``"""

    of: FiguresOf
    figures: dict[str, float]


def figures_of(run: Path, data: EvaluationData, split: str) -> FiguresOf:
    """What the figures of a finished run on a split depend on."""
    names = msgspec.json.encode([split, *(item.sample.id for item in data.splits[split])])
    return FiguresOf(
        release=__version__,
        data_fingerprint=data.fingerprint,
        clips=hashlib.sha256(names).hexdigest(),
        checkpoint={file.name: sha256_of(file) for file in (run / BEST).glob("*")},
    )


def read_figures(run: Path, of: FiguresOf) -> dict[str, float] | None:
    """The run's figures; None where there are none, or those of something else."""
    try:
        kept = msgspec.json.decode((run / FIGURES_FILE).read_bytes(), type=Kept)
    except (OSError, msgspec.MsgspecError):
        return None
    return kept.figures if kept.of == of else None


def keep_figures(run: Path, of: FiguresOf, figures: dict[str, float]) -> None:
    """Write the run's figures.

    Raises:
        MerEdgeError: the disk says no.
    """
    with new_file(run / FIGURES_FILE, "keeping the figures", advice=RUNS_KEPT) as temporary:
        temporary.write_bytes(msgspec.json.encode(Kept(of, figures)))
