"""An ablation as a picture: means with deviation bars, single seeds as dots."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from train.ablation.result import Ablation, CellSummary
from train.evaluation.headline import HEADLINES
from train.evaluation.pictures.canvas import BLUE, GREY, ORANGE, clean, new_figure, plain, save

LETTERS_PER_INCH = 9
"""Of the title."""
SHOWN = ("f1", "accuracy", "weighted_accuracy", "unweighted_average_recall")


def draw_ablation(ablation: Ablation, file: Path, advice: str) -> None:
    """Draw a panel a figure, a row a cell, the reference in another colour.

    Args:
        advice: where the disk is full.
    """
    cells = [cell for cell in ablation.cells if cell.figures]
    shown = [key for key in SHOWN if all(key in cell.figures for cell in cells)]
    if not cells or not shown:
        return
    longest = max(len(cell.name) for cell in cells)
    width_in = 2.7 * len(shown) + 0.085 * longest
    title = textwrap.fill(ablation.note, round(width_in * LETTERS_PER_INCH))
    height_in = 1.5 + 0.42 * len(cells) + 0.2 * title.count("\n")
    figure = new_figure(width_in, height_in, title)
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, key in zip(panels, shown, strict=True):
        clean(axes)
        for row, cell in enumerate(cells):
            _draw_cell(axes, row, cell, key, cell.name == ablation.reference)
        axes.set_title(HEADLINES[key], fontsize=10)
        axes.grid(axis="x", color="#e6e6e6", zorder=0)
        axes.set_axisbelow(True)
    panels[0].set_yticks(range(len(cells)), [plain(cell.name) for cell in cells])
    panels[0].set_ylim(len(cells) - 0.4, -0.6)
    figure.supxlabel(
        "mean ± deviation over seeds (line), single seeds (dots), reference in orange", fontsize=9
    )
    save(figure, file, advice)


def _draw_cell(axes: Any, row: int, cell: CellSummary, key: str, reference: bool) -> None:
    found, shade = cell.figures[key], ORANGE if reference else BLUE
    axes.errorbar(
        [found.mean],
        [row],
        xerr=None if found.deviation is None else [found.deviation],
        fmt="D",
        color=shade,
        markersize=6,
        capsize=4,
        elinewidth=1.6,
        zorder=3,
    )
    # Beside the line, so that a dot does not hide the mean.
    axes.scatter(found.values, [row + 0.22] * len(found.values), 14, GREY, zorder=2)
