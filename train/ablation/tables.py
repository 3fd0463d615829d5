"""An ablation as a table: in the terminal, as Markdown, as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from train.ablation.result import Ablation, CellSummary, Spread
from train.evaluation.headline import HEADLINES
from train.evaluation.significance import PairedTest

SIGNIFICANT = 0.05
DROPPED_LAST = (
    "f1",
    "accuracy",
    "weighted_accuracy",
    "unweighted_average_recall",
    "class_accuracy",
    "f1_at_half",
    "accuracy_at_half",
    "weighted_accuracy_at_half",
)
"""The columns from the most to the least wanted, where the terminal is narrow."""
FILE_WIDTH = 180
"""Columns of a table that goes into a file or a pipe."""


def print_ablation(ablation: Ablation, console: Console | None = None) -> None:
    """Print the table, what its signs mean, and what failed."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    if ablation.note:
        console.print(Text(ablation.note, style="bold"), soft_wrap=True)
    figures = known_figures(ablation)
    header, *rows = rows_of(ablation, figures)
    while _width((header, *rows)) > console.width and len(figures) > 1:
        figures.remove(max(figures, key=DROPPED_LAST.index))
        header, *rows = rows_of(ablation, figures)
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column(header[0])
    for name in header[1:]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(Text(text) for text in row))
    console.print(table)
    for line in legend(ablation):
        console.print(Text(line, style="dim"), soft_wrap=True)
    if len(figures) < len(known_figures(ablation)):
        console.print("more columns are in ablation.md, or in a wider window", style="dim")


def known_figures(ablation: Ablation) -> list[str]:
    """Those that some cell has, in the order of the tables."""
    return [key for key in HEADLINES if any(key in cell.figures for cell in ablation.cells)]


def rows_of(ablation: Ablation, figures: Sequence[str]) -> list[list[str]]:
    """The header and a row a cell: mean ± deviation, a star where it differs significantly."""
    header = ["", "runs", *(HEADLINES[key] for key in figures), "p of F1", "parameters", "s a run"]
    rows = [header]
    for cell in ablation.cells:
        reference = cell.name == ablation.reference
        rows.append(
            [
                f"{cell.name} (reference)" if reference else cell.name,
                str(len(cell.seeds)),
                *(figure_text(cell, key) for key in figures),
                "" if reference else p_text(cell.against_reference.get("f1")),
                "-" if cell.parameters is None else parameters_text(cell.parameters),
                "-" if cell.mean_train_s is None else f"{cell.mean_train_s:.0f}",
            ]
        )
    return rows


def legend(ablation: Ablation) -> list[str]:
    """What the table's figures are, and what is missing from it."""
    data = ablation.data
    exclusive = ablation.options.get("task") == "multiclass"
    decided = "most probable label" if exclusive else "thresholds tuned on validation, or 0.5"
    lines = [
        f"{data['path']}, split {data['split']}: {data['clips']} clips; mean ± deviation (n - 1) "
        f"over the seeds {', '.join(map(str, ablation.seeds))}; {decided}",
        f"* differs from {ablation.reference} with p < {SIGNIFICANT:g}: paired t-test over the "
        "seeds, not corrected for the number of comparisons; deviation and p are over seeds, not "
        "over clips",
    ]
    lines += [f"note: {note}" for note in data["notes"]]
    lines += [
        f"left out: {name}, whose training is that of {twin}"
        for name, twin in ablation.twins.items()
    ]
    lines += [
        f"failed: {failure.cell}, seed {failure.seed}: {failure.reason}"
        for failure in ablation.failures
    ]
    if not ablation.finished:
        lines.append("unfinished: runs are missing; the same command goes on with them")
    return lines


def markdown(ablation: Ablation) -> str:
    """The table with what its signs mean; the note comes first."""
    header, *rows = rows_of(ablation, known_figures(ablation))
    lines = [f"**{ablation.note}**", ""] if ablation.note else []
    lines += [_markdown_row(header), "|---|" + "---:|" * (len(header) - 1)]
    lines += [_markdown_row(row) for row in rows]
    lines += ["", *(f"- {line}" for line in legend(ablation))]
    return "\n".join(lines) + "\n"


def cells_csv(ablation: Ablation) -> str:
    """A line a cell: of every figure the mean, the deviation and p against the reference."""
    header = ["cell", "runs"]
    for key in HEADLINES:
        header += [f"{key}_mean", f"{key}_deviation", f"{key}_p"]
    lines: list[Sequence[object]] = [[*header, "parameters", "mean_train_s"]]
    for cell in ablation.cells:
        line: list[object] = [cell.name, len(cell.seeds)]
        for key in HEADLINES:
            found, test = cell.figures.get(key), cell.against_reference.get(key)
            line += [
                found and found.mean,
                found and found.deviation,
                test and test.p,
            ]
        lines.append([*line, cell.parameters, cell.mean_train_s])
    return _csv(lines)


def runs_csv(ablation: Ablation) -> str:
    """A line a run."""
    header = ["cell", "seed", *HEADLINES, "parameters", "epochs", "best_epoch", "train_s"]
    lines: list[Sequence[object]] = [header]
    for run in ablation.runs:
        figures = [run.figures.get(key) for key in HEADLINES]
        rest = [run.parameters, run.epochs, run.best_epoch, run.train_s]
        lines.append([run.cell, run.seed, *figures, *rest])
    return _csv(lines)


def figure_text(cell: CellSummary, key: str) -> str:
    """``0.646 ± 0.012*``"""
    found = cell.figures.get(key)
    if found is None:
        return "-"
    test = cell.against_reference.get(key)
    star = "*" if test is not None and test.p is not None and test.p < SIGNIFICANT else ""
    return f"{spread_text(found)}{star}"


def spread_text(found: Spread) -> str:
    """``0.646 ± 0.012``, or the mean alone of a single run."""
    if found.deviation is None:
        return f"{found.mean:.3f}"
    return f"{found.mean:.3f} ± {found.deviation:.3f}"


def p_text(test: PairedTest | None) -> str:
    if test is None:
        return "-"
    if test.p is None:
        return "not defined"
    return f"{test.p:.3f}" if test.p >= 0.001 else "< 0.001"


def parameters_text(count: int) -> str:
    """``28.4 M`` or ``88 k``"""
    return f"{count / 1e6:.1f} M" if count >= 1e6 else f"{count / 1e3:.0f} k"


def _width(rows: Sequence[Sequence[str]]) -> int:
    return sum(max(map(len, column)) + 1 for column in zip(*rows, strict=True))


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(text.replace("|", r"\|") for text in cells) + " |"


def _csv(lines: Sequence[Sequence[object]]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(lines)
    return written.getvalue()
