"""An evaluation in the terminal: one subject in detail, several side by side."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from train.evaluation.calibration import Reliability
from train.evaluation.coverage import Coverage
from train.evaluation.evaluation import Comparison, Evaluation, OperatingPoint, SubjectEvaluation
from train.evaluation.headline import HEADLINES
from train.evaluation.intervals import Interval
from train.evaluation.significance import PairedTest

MOST_BESIDE = 3
FILE_WIDTH = 120
"""Columns of a table that goes into a file or a pipe."""


def print_evaluation(evaluation: Evaluation, console: Console | None = None) -> None:
    """Print the scores, the comparison if there is one, and every note."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    data, subjects = evaluation.data, evaluation.subjects
    console.print(
        Text(
            f"{data.path}, split {data.split}: {data.clips} clips; brackets are "
            f"{evaluation.bootstrap.confidence:.0%} intervals of {evaluation.bootstrap.resamples} "
            "bootstrap resamples",
            style="bold",
        ),
        soft_wrap=True,
    )
    if len(subjects) == 1:
        exclusive = subjects[0].info.task == "multiclass"
        console.print((class_table if exclusive else label_table)(subjects[0]))
    elif len(subjects) <= MOST_BESIDE:
        console.print(side_by_side(subjects))
    else:
        console.print(one_below_the_other(subjects))
    for line in _more(subjects):
        console.print(line, markup=False, soft_wrap=True)
    if evaluation.against is not None:
        console.print(comparison_table(evaluation.against))
    for note in notes_of(evaluation):
        console.print(Text(f"note: {note}", style="dim"), soft_wrap=True)


def label_table(subject: SubjectEvaluation) -> Table:
    """A row a label, the averages last; tuned thresholds and 0.5 side by side."""
    tuned, half = subject.tuned, subject.at_half
    assert half is not None  # which only exclusive labels lack
    table = _table(Text(subject.info.name))
    for name in ("yes", "above", "Acc", "WA", "F1"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("of F1", no_wrap=True)
    for name in ("at 0.5: Acc", "WA", "F1"):
        table.add_column(name, justify="right", no_wrap=True)
    for label in subject.info.labels:
        table.add_row(
            Text(label),
            str(tuned.scores.labels[label].positives),
            f"{tuned.thresholds[label]:.2f}",
            *_three(tuned, label),
            interval_text(tuned.intervals.label_f1[label]),
            *_three(half, label),
        )
    average = (*_three(tuned, None), interval_text(tuned.intervals.f1), *_three(half, None))
    table.add_row("average", "", "", *average, style="bold")
    return table


def class_table(subject: SubjectEvaluation) -> Table:
    """A row an exclusive label, the averages last: of the most probable label."""
    tuned = subject.tuned
    table = _table(Text(subject.info.name))
    for name in ("clips", "recall", "precision", "F1"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("of F1", no_wrap=True)
    for label in subject.info.labels:
        found = tuned.confusion[label]
        right = found.true_positives
        table.add_row(
            Text(label),
            str(right + found.false_negatives),
            _share(right, right + found.false_negatives),
            _share(right, right + found.false_positives),
            f"{tuned.scores.labels[label].f1:.3f}",
            interval_text(tuned.intervals.label_f1[label]),
        )
    classes = subject.classes
    recall = "-" if classes is None else f"{classes.unweighted_average_recall:.3f}"
    interval = interval_text(tuned.intervals.f1)
    table.add_row("average", "", recall, "", f"{tuned.scores.f1:.3f}", interval, style="bold")
    return table


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "-"


def side_by_side(subjects: Sequence[SubjectEvaluation]) -> Table:
    """A row a figure with its interval and a row a label's F1, a column a subject."""
    table = _table("")
    for subject in subjects:
        table.add_column(Text(subject.info.name), justify="right")
    table.add_row("variant", *(subject.info.variant for subject in subjects))
    for key in _shared_figures(subjects):
        table.add_row(
            HEADLINES[key],
            *(f"{s.headline[key]:.3f}{_interval_of(s, key)}" for s in subjects),
            style="bold" if key == "f1" else "",
        )
    for label in subjects[0].info.labels:
        table.add_row(
            Text(f"F1 {label}"),
            *(
                f"{s.tuned.scores.labels[label].f1:.3f} "
                f"{interval_text(s.tuned.intervals.label_f1[label])}"
                for s in subjects
            ),
        )
    ece = [calibration_shown(s).expected_calibration_error for s in subjects]
    table.add_row("calibration error", *(f"{error:.3f}" for error in ece))
    return table


def one_below_the_other(subjects: Sequence[SubjectEvaluation]) -> Table:
    """A row a subject, a column a figure: for more subjects than fit beside each other."""
    table = _table("")
    table.add_column("variant")
    figures = _shared_figures(subjects)
    for key in figures:
        table.add_column(HEADLINES[key].replace("Avg ", ""), justify="right")
    table.add_column("ECE", justify="right")
    for subject in subjects:
        ece = calibration_shown(subject).expected_calibration_error
        values = [*(subject.headline[key] for key in figures), ece]
        name = Text(subject.info.name)
        table.add_row(name, subject.info.variant, *(f"{value:.3f}" for value in values))
    return table


def calibration_shown(subject: SubjectEvaluation) -> Reliability:
    """That of the decision where the labels are exclusive, else of all labels together."""
    return subject.calibration.decision or subject.calibration.overall


def _table(first: Text | str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column(first)
    return table


def _shared_figures(subjects: Sequence[SubjectEvaluation]) -> list[str]:
    return [key for key in HEADLINES if all(key in subject.headline for subject in subjects)]


def comparison_table(comparison: Comparison) -> Table:
    """A row a figure: means of both sides, their difference, the paired t-test."""
    pairs = ", ".join(map(str, comparison.seeds))
    table = _table(f"paired t-test, seeds {pairs}")
    for name in ("mean", "mean of --against", "difference", "t", "p"):
        table.add_column(name, justify="right")
    for key, figure in comparison.figures.items():
        test = figure.test
        table.add_row(
            HEADLINES[key],
            f"{sum(figure.first) / len(figure.first):.3f}",
            f"{sum(figure.second) / len(figure.second):.3f}",
            f"{test.mean_difference:+.3f}",
            "-" if test.t is None else f"{test.t:.2f}",
            p_text(test),
        )
    return table


def notes_of(evaluation: Evaluation) -> list[str]:
    """What the reader must know, each sentence once, with the subjects it is about."""
    notes: dict[str, list[str]] = {note: [] for note in evaluation.data.notes}
    if evaluation.data.skipped:
        count = len(evaluation.data.skipped)
        notes[f"{count} clips could not be prepared and were left out"] = []
    for subject in evaluation.subjects:
        for note in subject.notes:
            notes.setdefault(note, []).append(subject.info.name)
    everyone = len(evaluation.subjects)
    return [
        note if len(names) in (0, everyone) else f"{', '.join(names)}: {note}"
        for note, names in notes.items()
    ]


def interval_text(interval: Interval) -> str:
    return f"[{interval.low:.2f}, {interval.high:.2f}]"


def p_text(test: PairedTest) -> str:
    """``0.031``; ``not defined`` where the test is not."""
    if test.p is None:
        return "not defined"
    return f"{test.p:.3f}" if test.p >= 0.001 else "< 0.001"


def _more(subjects: Sequence[SubjectEvaluation]) -> list[str]:
    """Class scores, calibration and modality weights, of as many as one can read."""
    if len(subjects) > MOST_BESIDE:
        return []
    return [f"{one.info.name}: {line}" for one in subjects for line in _more_of(one)]


def _more_of(subject: SubjectEvaluation) -> list[str]:
    lines = []
    if subject.classes is not None:
        found, ends = subject.classes, subject.class_intervals
        accuracy = "" if ends is None else f" {interval_text(ends.accuracy)}"
        recall = "" if ends is None else f" {interval_text(ends.unweighted_average_recall)}"
        lines.append(
            f"most probable class: accuracy {found.accuracy:.3f}{accuracy}, UAR "
            f"{found.unweighted_average_recall:.3f}{recall}, weighted F1 {found.weighted_f1:.3f}"
        )
    if subject.coverage is not None:
        lines += _covered(subject.coverage)
    lines.append(f"calibration: {_calibrated(calibration_shown(subject))}")
    if subject.temperature is not None:
        scaled = subject.temperature
        lines.append(f"with temperature {scaled.temperature:.2f}: {_calibrated(scaled.after)}")
    weights = ", ".join(
        f"{modality} {one.mean:.2f}"
        for modality, one in subject.modality_weights.items()
        if one.mean is not None
    )
    return [*lines, f"mean weight where present: {weights}"]


def _covered(coverage: Coverage) -> list[str]:
    points = ", ".join(
        f"{point.accuracy:.3f} of {point.coverage:.0%}"
        for point in coverage.points
        if point.accuracy is not None
    )
    lines = [f"accuracy of the surest clips: {points}"]
    own = coverage.own
    if own is not None:
        accuracy = "" if own.accuracy is None else f", of which {own.accuracy:.3f} are right"
        lines.append(
            f"at its min_confidence {own.min_confidence:.3f}: {own.coverage:.1%} are decided"
            f"{accuracy}, the others are uncertain"
        )
    return lines


def _calibrated(one: Reliability) -> str:
    return (
        f"error (ECE) {one.expected_calibration_error:.3f}, Brier {one.brier:.3f}, negative "
        f"log-likelihood {one.negative_log_likelihood:.3f}"
    )


def _three(point: OperatingPoint, label: str | None) -> list[str]:
    one = point.scores if label is None else point.scores.labels[label]
    return [f"{value:.3f}" for value in (one.accuracy, one.weighted_accuracy, one.f1)]


def _interval_of(subject: SubjectEvaluation, key: str) -> str:
    point = subject.at_half if key.endswith("_at_half") else subject.tuned
    ends = None if point is None else point.intervals
    interval = getattr(ends, key.removesuffix("_at_half"), None)
    if subject.class_intervals is not None and interval is None:
        name = key.removeprefix("class_")
        interval = getattr(subject.class_intervals, name, None)
    return "" if interval is None else f" {interval_text(interval)}"
