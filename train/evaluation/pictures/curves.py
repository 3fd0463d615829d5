"""Losses and validation scores over the epochs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mer_edge.decision import Task
from mer_edge.errors import MerEdgeError
from train.evaluation.pictures.canvas import BLUE, GREY, ORANGE, clean, new_figure, save


def draw_curves(
    history: Sequence[dict[str, Any]], title: str, file: Path, task: Task = "multilabel"
) -> None:
    """Draw a run's ``history.json``; the last epoch that was the best so far is marked.

    Raises:
        MerEdgeError: an entry lacks a figure.
    """
    try:
        epochs = [entry["epoch"] for entry in history]
        series = {
            name: [entry[name] for entry in history]
            for name in (
                "train_loss",
                "valid_loss",
                "valid_f1",
                "valid_accuracy",
                "valid_weighted_accuracy",
            )
        }
        best = max((entry["epoch"] for entry in history if entry["best"]), default=None)
    except (KeyError, TypeError) as error:
        raise MerEdgeError(
            f"{title}: history.json lacks {error}; expected the file that mer-edge train wrote"
        ) from error
    figure = new_figure(10, 4, title)
    losses, scores = figure.subplots(1, 2)
    for axes in (losses, scores):
        clean(axes)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        if best is not None:
            axes.axvline(best, color=GREY, linestyle=":", label=f"best epoch: {best}")
    style = {"marker": "o", "markersize": 3.5}
    losses.plot(epochs, series["train_loss"], color=BLUE, label="training, decision", **style)
    losses.plot(epochs, series["valid_loss"], color=ORANGE, label="validation, decision", **style)
    losses.set(title="loss")
    names, decided = ("Avg F1", "Avg Acc", "Avg WA"), "tuned thresholds"
    if task == "multiclass":
        names, decided = ("macro-F1", "accuracy", "UAR"), "most probable label"
    scores.plot(epochs, series["valid_f1"], color="#2f7d4f", label=names[0], **style)
    scores.plot(epochs, series["valid_accuracy"], color=BLUE, label=names[1], **style)
    scores.plot(epochs, series["valid_weighted_accuracy"], color=ORANGE, label=names[2], **style)
    scores.set(title=f"validation split, {decided}", ylim=(0, 1.02))
    for axes in (losses, scores):
        axes.legend(frameon=False)
    save(figure, file)
