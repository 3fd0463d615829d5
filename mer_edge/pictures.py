"""Pictures of results, with matplotlib where it is installed; PNGs of results without it, too."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from mer_edge.errors import MerEdgeError
from mer_edge.files import new_file
from mer_edge.result import ModalitySay, Result, decision_text, reason_text
from mer_edge.segments import MODALITIES

SUFFIXES = (".png", ".pdf", ".svg")
PLAIN_SUFFIX = ".png"
MODALITY_COLOURS = {"audio": "#d98b2b", "visual": "#3f7fbf", "text": "#6a9a3b"}
STAGE_COLOURS = {
    **MODALITY_COLOURS,
    "media": "#8d949c",
    "tokenize": "#2b2f33",
    "fusion": "#7b5ea7",
}
NO_PICTURE = "there is no picture; free some space or choose another place for it"
DECIDED, UNDECIDED, NEEDED = "#2f7d4f", "#b8bfc6", "#c0392b"


def check_result_picture(path: Path) -> None:
    """As :func:`check_picture`, of a result: a PNG of it needs no matplotlib."""
    if path.suffix.lower() != PLAIN_SUFFIX:
        check_picture(path)


def check_picture(path: Path) -> None:
    """Whether a picture can be drawn to ``path``, asked before the work that leads to it.

    Raises:
        MerEdgeError: matplotlib is not installed, or the file's extension is none it knows.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise MerEdgeError(
            f"drawing {path.name} needs the package matplotlib, which is not installed; "
            "run: pip install 'matplotlib>=3.8,<4'"
        )
    if path.suffix.lower() not in SUFFIXES:
        raise MerEdgeError(
            f"{path}: the extension is '{path.suffix}'; expected one of {', '.join(SUFFIXES)}"
        )


def draw_result(result: Result, path: Path, title: str) -> None:
    """Draw probabilities, what each modality said and its weight, and the times of the stages.

    Args:
        path: .png, .pdf or .svg; written whole or not at all.

    Raises:
        MerEdgeError: see ``check_result_picture``; or the disk says no.
    """
    check_result_picture(path)
    if importlib.util.find_spec("matplotlib") is None:
        from mer_edge.plain_picture import draw_plain

        draw_plain(result, path, title)
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6.5), layout="constrained")
    figure.suptitle(_plain(title))
    grid = figure.add_gridspec(2, 2, height_ratios=(3, 1))
    _draw_probabilities(figure.add_subplot(grid[0, 0]), result)
    _draw_modalities(figure.add_subplot(grid[0, 1]), result)
    _draw_timeline(figure.add_subplot(grid[1, :]), result)
    with new_file(path, "drawing the picture", advice=NO_PICTURE) as temporary:
        figure.savefig(temporary, dpi=120)


def _draw_probabilities(axes: Any, result: Result) -> None:
    labels = list(result.probabilities)
    values = [result.probabilities[label] for label in labels]
    colours = [DECIDED if label in result.decision else UNDECIDED for label in labels]
    bars = axes.barh([_plain(label) for label in labels], values, color=colours)
    axes.bar_label(bars, fmt="%.2f", padding=3)
    for label, needed in result.thresholds.items():
        row = labels.index(label)
        axes.plot([needed, needed], [row - 0.4, row + 0.4], color=NEEDED, linestyle=":")
    if result.min_confidence is not None:
        axes.axvline(result.min_confidence, color=NEEDED, linestyle=":")
    axes.set(xlim=(0, 1.12), xlabel="probability", title=_plain(_decision_title(result)))
    axes.invert_yaxis()


def _decision_title(result: Result) -> str:
    """What was decided, and what the dotted lines are."""
    if result.decision:
        needed = result.thresholds or result.min_confidence is not None
        return f"the decision (green){'; dotted: what it needs' if needed else ''}"
    return f"{decision_text(result)} ({reason_text(result)})"


def _draw_modalities(axes: Any, result: Result) -> None:
    labels = list(result.probabilities)
    height = 0.8 / len(MODALITIES)
    for row, name in enumerate(MODALITIES):
        say = result.modalities[name]
        legend = f"{name}, {modality_part(say)}"
        values = [0.0 if say.probabilities is None else say.probabilities[x] for x in labels]
        places = [index + (row - 1) * height for index in range(len(labels))]
        axes.barh(places, values, height, color=MODALITY_COLOURS[name], label=legend)
    axes.set_yticks(range(len(labels)), [_plain(label) for label in labels])
    axes.set(xlim=(0, 1), xlabel="probability", title="what each modality said alone")
    axes.invert_yaxis()
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, frameon=False)


def modality_part(say: ModalitySay) -> str:
    """How much a modality counted, for a legend."""
    if not say.used:
        return "not used"
    return f"weight {say.weight:.2f}" if say.present else "absent"


def _draw_timeline(axes: Any, result: Result) -> None:
    """The stages one after the other, as they ran."""
    start_ms = 0.0
    for stage, colour in stages(result):
        spent_ms = result.timings_ms[stage]
        legend = f"{stage} {spent_ms:.1f} ms"
        axes.barh([0], [spent_ms], left=start_ms, color=colour, label=legend)
        start_ms += spent_ms
    axes.set_yticks([])
    axes.set(xlabel="ms", title=f"{result.timings_ms['total']:.1f} ms in all, {result.engine}")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.55), ncols=6, frameon=False)


def stages(result: Result) -> list[tuple[str, str]]:
    """The stages in the order they ran, with their colours."""
    return [(stage, STAGE_COLOURS[stage]) for stage in result.timings_ms if stage != "total"]


def _plain(text: str) -> str:
    """Without matplotlib's formula signs."""
    return text.replace("$", r"\$")
