"""F1 of each class with its confidence interval, several subjects side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from train.evaluation.evaluation import SubjectEvaluation
from train.evaluation.pictures.canvas import clean, colour, new_figure, plain, save, slanted


def draw_bars(subjects: Sequence[SubjectEvaluation], confidence: float, file: Path) -> None:
    """Draw F1 and its mean, in the first subject's order of labels.

    Of independent labels at the tuned thresholds, of exclusive ones of the most probable label.
    """
    labels = subjects[0].info.labels
    places = [*labels, "average"]
    width = 0.8 / len(subjects)
    one_in = max(0.9, 0.28 * len(subjects))
    figure = new_figure(max(6.0, 1.6 + one_in * len(places)), 4.4, "")
    axes = figure.add_subplot()
    clean(axes)
    for number, subject in enumerate(subjects):
        tuned = subject.tuned
        values = [*(tuned.scores.labels[x].f1 for x in labels), tuned.scores.f1]
        ends = [*(tuned.intervals.label_f1[x] for x in labels), tuned.intervals.f1]
        # A percentile interval need not hold the score itself; a bar cannot point the other way.
        below = [max(0.0, value - end.low) for value, end in zip(values, ends, strict=True)]
        above = [max(0.0, end.high - value) for value, end in zip(values, ends, strict=True)]
        x = [place + (number - (len(subjects) - 1) / 2) * width for place in range(len(places))]
        axes.bar(
            x,
            values,
            width * 0.92,
            yerr=(below, above),
            color=colour(number + 2),
            label=plain(subject.info.name),
            error_kw={"elinewidth": 1, "capsize": 2.5, "ecolor": "#333333"},
        )
    slanted(axes, places)
    axes.axvline(len(labels) - 0.5, color="#cccccc", linewidth=1)
    axes.set(
        ylim=(0, 1.02),
        ylabel="F1",
        title=f"F1 {_of(subjects)}, {confidence:.0%} bootstrap intervals",
    )
    if len(subjects) > 1:
        figure.legend(loc="outside lower center", ncols=min(4, len(subjects)), frameon=False)
    save(figure, file)


def _of(subjects: Sequence[SubjectEvaluation]) -> str:
    tasks = {subject.info.task for subject in subjects}
    if tasks == {"multilabel"}:
        return "at tuned thresholds"
    return "of the most probable label" if tasks == {"multiclass"} else "of the decisions"
