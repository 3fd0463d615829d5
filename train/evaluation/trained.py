"""What a run's folder says of its training, beside the checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from mer_edge.errors import MerEdgeError
from train.datasets.registry import DatasetOptions
from train.report import HISTORY_FILE, REPORT_FILE, read_report


@dataclass(frozen=True)
class TrainedOn:
    """The data that a run has learned from, and how its clips were prepared."""

    data: Path
    dataset: DatasetOptions
    store: Path | None
    """Where its prepared clips still are; None: at the usual place."""
    crops_per_segment: int


def trained_on(subject: Path) -> TrainedOn | None:
    """What ``report.json`` says; None where there is none, as in a bundle or a bare checkpoint.

    Raises:
        MerEdgeError: the file is there but is not what mer-edge train writes.
    """
    run = run_folder(subject)
    if run is None:
        return None
    report = read_report(run)
    try:
        store = report.options["cache"]
        return TrainedOn(
            data=(run / report.data).resolve(),
            dataset=msgspec.convert(report.options["dataset"], DatasetOptions),
            store=Path(store) if store and Path(store).is_dir() else None,
            crops_per_segment=int(report.options["crops_per_segment"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise MerEdgeError(
            f"{run / REPORT_FILE}: does not say what the run was trained on ({error!r}); expected "
            "the file that mer-edge train wrote; name the data with --data"
        ) from error


def read_history(subject: Path) -> list[dict[str, Any]]:
    """``history.json`` of a run, an entry per epoch; [] where there is none.

    Raises:
        MerEdgeError: the file is there but is not what mer-edge train writes.
    """
    run = run_folder(subject)
    if run is None or not (run / HISTORY_FILE).is_file():
        return []
    file = run / HISTORY_FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[dict[str, Any]])
    except msgspec.MsgspecError as error:
        raise MerEdgeError(
            f"{file}: not a history ({error}); expected the file that mer-edge train wrote"
        ) from error


def run_folder(subject: Path) -> Path | None:
    """The run that a path names, or whose ``best`` or ``last`` it is; None where there is none."""
    for folder in (subject, subject.resolve().parent):
        if (folder / REPORT_FILE).is_file():
            return folder
    return None
