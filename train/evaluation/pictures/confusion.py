"""Confusion: each label as a yes/no question, and class against class where a clip has one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.evaluation.evaluation import LabelConfusion, SubjectEvaluation
from train.evaluation.pictures.canvas import new_figure, plain, save, slanted

ACROSS = 4
"""Labels side by side."""


def draw_confusion(subject: SubjectEvaluation, file: Path) -> None:
    """Draw the tables at the tuned thresholds; shades are shares of a row, so of the truth."""
    labels = subject.info.labels
    across = min(ACROSS, len(labels))
    down = -(-len(labels) // across)
    figure = new_figure(2.3 * across + 0.6, 2.5 * down + 0.5, "")
    exclusive = subject.info.task == "multiclass"
    decided = "most probable or not" if exclusive else "at its tuned threshold"
    figure.suptitle(plain(f"{subject.info.name}: each label {decided}"))
    for number, label in enumerate(labels):
        axes = figure.add_subplot(down, across, number + 1)
        table = _table(subject.tuned.confusion[label])
        _draw(axes, table, ["no", "yes"], label)
        axes.set_ylabel("truth" if number % across == 0 else "")
        axes.set_xlabel("decision" if number + across >= len(labels) else "")
    save(figure, file)


def draw_class_confusion(subject: SubjectEvaluation, file: Path) -> None:
    """Draw true class against most probable class, where every clip has exactly one."""
    assert subject.classes is not None
    labels = subject.info.labels
    size_in = max(3.6, 1.9 + 0.62 * len(labels))
    figure = new_figure(size_in + 0.6, size_in, "")
    axes = figure.add_subplot()
    classes = subject.classes
    title = f"accuracy {classes.accuracy:.3f}, UAR {classes.unweighted_average_recall:.3f}"
    _draw(axes, np.array(classes.confusion), labels, title)
    slanted(axes, labels)
    axes.set(xlabel="most probable class", ylabel="true class")
    figure.suptitle(plain(subject.info.name))
    save(figure, file)


def _table(confusion: LabelConfusion) -> NDArray[np.int64]:
    """Truth no and yes (rows), decision no and yes (columns)."""
    return np.array(
        [
            [confusion.true_negatives, confusion.false_positives],
            [confusion.false_negatives, confusion.true_positives],
        ]
    )


def _draw(axes: Any, table: NDArray[np.int64], names: list[str], title: str) -> None:
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), clips in np.ndenumerate(table):
        dark = shares[row, column] > 0.55
        axes.text(
            column,
            row,
            f"{clips}\n{shares[row, column]:.0%}",
            ha="center",
            va="center",
            color="white" if dark else "#222222",
            fontsize=8,
        )
    named = [plain(name) for name in names]
    axes.set_xticks(range(len(names)), named)
    axes.set_yticks(range(len(names)), named)
    axes.set_title(plain(title), fontsize=10)
    axes.tick_params(length=0)
