"""Reliability diagrams: what the model says against how often it comes true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from train.evaluation.calibration import Reliability
from train.evaluation.evaluation import SubjectEvaluation
from train.evaluation.pictures.canvas import (
    BLUE,
    GREY,
    ORANGE,
    clean,
    colour,
    new_figure,
    plain,
    save,
)


def draw_reliability(subject: SubjectEvaluation, file: Path) -> None:
    """Draw all labels together (of exclusive ones the decision), with the temperature where one was
    fitted, and each label."""
    figure = new_figure(10, 5, f"{subject.info.name}: probability against truth")
    grid = figure.add_gridspec(2, 2, height_ratios=(4, 1))
    together = figure.add_subplot(grid[0, 0])
    of_labels = figure.add_subplot(grid[0, 1])
    counts = figure.add_subplot(grid[1, 0], sharex=together)
    decision = subject.calibration.decision
    overall = decision or subject.calibration.overall
    _draw(together, overall, BLUE, f"as it is, {_figures(overall)}")
    if subject.temperature is not None:
        after = subject.temperature.after
        name = f"temperature {subject.temperature.temperature:.2f}, {_figures(after)}"
        _draw(together, after, ORANGE, name)
    title = "all labels" if decision is None else "the most probable label"
    together.set(title=title, ylabel="share of positives" if decision is None else "share right")
    for number, (label, one) in enumerate(subject.calibration.labels.items()):
        _draw(of_labels, one, colour(number), plain(f"{label} ({_figures(one)})"))
    of_labels.set(title="each label", xlabel="probability")
    for axes in (together, of_labels):
        clean(axes)
        axes.plot((0, 1), (0, 1), color=GREY, linestyle=":", zorder=0)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    together.legend(frameon=False, loc="upper left", fontsize=8)
    _draw_counts(counts, overall, "pairs" if decision is None else "clips")
    # Below its diagram, in the place that the counts take on the left.
    figure.add_subplot(grid[1, 1]).set_axis_off()
    handles, names = of_labels.get_legend_handles_labels()
    figure.axes[-1].legend(handles, names, loc="center", ncols=2, frameon=False, fontsize=8)
    save(figure, file)


def _figures(one: Reliability) -> str:
    return f"ECE {one.expected_calibration_error:.3f}, Brier {one.brier:.3f}"


def _draw(axes: Any, one: Reliability, shade: str, name: str) -> None:
    filled = [part for part in one.bins if part.clips]
    axes.plot(
        [part.mean_probability for part in filled],
        [part.positive_share for part in filled],
        marker="o",
        markersize=4,
        color=shade,
        label=name,
    )


def _draw_counts(axes: Any, one: Reliability, counted: str) -> None:
    clean(axes)
    middles = [(part.low + part.high) / 2 for part in one.bins]
    axes.bar(middles, [part.clips for part in one.bins], 0.09, color=GREY)
    axes.set(xlabel="probability", ylabel=counted)
