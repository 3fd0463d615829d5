"""What a run leaves behind beside its checkpoint: ``history.json`` and ``report.json``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from mer_edge.decision import DecisionRule
from mer_edge.errors import MerEdgeError
from mer_edge.files import NOTHING_KEPT, new_file
from train.metrics import ClassScores, Scores, decide, score, score_classes
from train.predict import Predictions
from train.state import EpochRecord

REPORT_FILE = "report.json"
HISTORY_FILE = "history.json"


@dataclass(frozen=True)
class SplitScores:
    """Scores of one split."""

    clips: int
    tuned: Scores
    """At the thresholds tuned on the validation split; of exclusive labels those of the most
    probable one, each label taken as a yes/no question."""
    at_half: Scores | None
    """At thresholds of 0.5; None of exclusive labels."""
    classes: ClassScores | None = None
    """Of exclusive labels: class against class."""

    @classmethod
    def of(cls, predictions: Predictions, rule: DecisionRule, labels: Sequence[str]) -> SplitScores:
        truth, probabilities = predictions.targets, predictions.probabilities
        exclusive = rule.task == "multiclass"
        return cls(
            clips=len(truth),
            tuned=score(rule.decide(probabilities), truth, labels),
            at_half=None if exclusive else score(decide(probabilities, 0.5), truth, labels),
            classes=score_classes(probabilities, truth) if exclusive else None,
        )


@dataclass(frozen=True)
class TrainReport:
    """``report.json``: enough to know what the checkpoint is and to train it again."""

    run: str
    """The run's directory, as it was named."""
    finished: bool
    """False while the run goes on, and where it broke off: the checkpoint is its best so far."""
    preset: str
    labels: list[str]
    thresholds: list[float]
    """Per label, tuned on the validation split; none of exclusive labels."""
    options: dict[str, Any]
    data: str
    """The data set's directory, or its manifest's file, relative to the run's directory."""
    data_fingerprint: str
    clips: dict[str, int]
    """Clips used, per split."""
    skipped: list[dict[str, str]]
    """Clips left out, and why."""
    text_encoder: str
    """Where the text encoder's weights come from."""
    parameters: int
    epochs: int
    best_epoch: int
    valid: SplitScores | None
    """Of the best epoch."""
    test: SplitScores | None
    """None until the run has finished, and without a test split."""
    prepare_s: float
    train_s: float
    versions: dict[str, str]
    commit: str
    notice: str


def write_reports(
    directory: Path,
    report: TrainReport,
    history: Sequence[EpochRecord],
    advice: str = NOTHING_KEPT,
) -> None:
    """Write both files into ``directory``, each whole or not at all.

    Args:
        advice: where the disk is full.
    """
    _write_json(directory / HISTORY_FILE, [asdict(record) for record in history], advice)
    _write_json(directory / REPORT_FILE, asdict(report), advice)


def read_report(directory: Path) -> TrainReport:
    """The report of a run.

    Raises:
        MerEdgeError: the folder is no run's, or of another release.
    """
    path = directory / REPORT_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=TrainReport)
    except (OSError, msgspec.MsgspecError) as error:
        raise MerEdgeError(
            f"{path}: not the report of a run ({error}); expected a folder that mer-edge train made"
        ) from error


def _write_json(file: Path, content: object, advice: str) -> None:
    with new_file(file, "writing the report", advice=advice) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def jsonable(options: dict[str, Any]) -> dict[str, Any]:
    """Options as JSON gives them back: paths as text, tuples as lists."""
    encoded = msgspec.json.encode(options, enc_hook=str)
    return msgspec.json.decode(encoded)  # type: ignore[no-any-return]
