"""What every picture shares: no window, colours, writing whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mer_edge.files import NOTHING_KEPT, new_file

DPI = 120
BLUE, ORANGE, GREY = "#3f7fbf", "#d98b2b", "#8d949c"
LABEL_COLOURS = (
    "#d1495b",
    "#edae49",
    "#3f7fbf",
    "#6a9a3b",
    "#7b5ea7",
    "#2bb3a3",
    "#8c5a3c",
    "#e377c2",
    "#4d4d4d",
    "#a6c739",
)
"""Of labels and of subjects, in order; after the last the first comes again."""


def colour(index: int) -> str:
    return LABEL_COLOURS[index % len(LABEL_COLOURS)]


def new_figure(width_in: float, height_in: float, title: str) -> Any:
    """A matplotlib figure that needs no display and no global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    if title:
        figure.suptitle(plain(title))
    return figure


def save(figure: Any, file: Path, advice: str = NOTHING_KEPT) -> None:
    """Write the picture, whole or not at all; ``advice`` is for a full disk.

    Raises:
        MerEdgeError: the disk says no.
    """
    with new_file(file, "drawing the picture", advice=advice) as temporary:
        figure.savefig(temporary, dpi=DPI)


def clean(axes: Any) -> None:
    """Without the frame's right and upper side."""
    axes.spines[["top", "right"]].set_visible(False)


def plain(text: str) -> str:
    """Without matplotlib's formula signs."""
    return text.replace("$", r"\$")


def slanted(axes: Any, labels: list[str]) -> None:
    """Write the labels below the x axis, slanted where they would meet."""
    crowded = len(labels) > 6 or max(map(len, labels), default=0) > 10
    axes.set_xticks(
        range(len(labels)),
        [plain(label) for label in labels],
        rotation=30 if crowded else 0,
        ha="right" if crowded else "center",
    )
