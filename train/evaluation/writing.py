"""An evaluation as files: one JSON, the clips' predictions, the pictures."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from mer_edge.files import check_out, new_directory
from mer_edge.segments import MODALITIES
from train.evaluation.evaluation import Evaluation
from train.evaluation.pictures.bars import draw_bars
from train.evaluation.pictures.confusion import draw_class_confusion, draw_confusion
from train.evaluation.pictures.curves import draw_curves
from train.evaluation.pictures.embedding import draw_features
from train.evaluation.pictures.reliability import draw_reliability
from train.evaluation.pictures.weights import draw_weights
from train.evaluation.session import Evaluated

EVALUATION_FILE = "evaluation.json"


def check_new_evaluation(out: Path, overwrite: bool) -> None:
    """Refuse to write over anything but an earlier evaluation, and over that only when told to.

    Raises:
        MerEdgeError: ``out`` exists.
    """
    check_out(out, overwrite, "an evaluation", EVALUATION_FILE)


def write_evaluation(
    out: Path, evaluation: Evaluation, evaluated: Sequence[Evaluated], *, overwrite: bool = False
) -> None:
    """Fill the new folder ``out``; several subjects have a folder each in it.

    Raises:
        MerEdgeError: see :func:`check_new_evaluation`; or the disk says no.
    """
    check_new_evaluation(out, overwrite)
    with new_directory(out, "writing the evaluation", overwrite=overwrite) as folder:
        (folder / EVALUATION_FILE).write_text(as_json(evaluation) + "\n", encoding="utf-8")
        confidence = evaluation.bootstrap.confidence
        draw_bars(evaluation.subjects, confidence, folder / "labels.png")
        for one in evaluated:
            place = folder
            if len(evaluated) > 1:
                place = folder / one.summary.info.name
                place.mkdir()
                draw_bars([one.summary], confidence, place / "labels.png")
            _write_subject(place, one)


def as_json(evaluation: Evaluation) -> str:
    """One line; without NaN, which JSON does not have."""
    return json.dumps(asdict(evaluation), allow_nan=False)


def _write_subject(folder: Path, one: Evaluated) -> None:
    summary = one.summary
    _write_predictions(folder / "predictions.csv", one)
    draw_confusion(summary, folder / "confusion.png")
    if summary.classes is not None:
        draw_class_confusion(summary, folder / "classes.png")
    draw_reliability(summary, folder / "reliability.png")
    if sum(found.clips > 0 for found in summary.modality_weights.values()) > 1:
        draw_weights(summary, one.predictions, folder / "weights.png")
    if one.history:
        draw_curves(one.history, summary.info.name, folder / "curves.png", summary.info.task)
    if one.features:
        title = f"{summary.info.name}: t-SNE of the clips' features"
        draw_features(one.features, summary.info.labels, title, folder / "features.png")


def _write_predictions(file: Path, one: Evaluated) -> None:
    """A line a clip: its labels, the probability of each label, the weight of each modality."""
    labels, predictions = one.summary.info.labels, one.predictions
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        weights = [f"weight_{name}" for name in MODALITIES]
        writer.writerow(["clip", "truth", *(f"p_{label}" for label in labels), *weights])
        for row, clip in enumerate(one.clips):
            truth = [x for x, yes in zip(labels, predictions.targets[row], strict=True) if yes]
            figures = [*predictions.probabilities[row], *predictions.weights[row]]
            writer.writerow([clip, "|".join(truth), *(f"{value:.6f}" for value in figures)])
