"""A heat map of what was measured: which case strains which part, and each part by each metric."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_edge.files import new_file
from mer_edge.parity.report import PARTS, ParityReport
from mer_edge.pictures import check_picture

MOST_CASES = 30
"""Rows: those that come nearest to their limits."""
LEAST_SHARE, MOST_SHARE = 1e-4, 10.0
"""Ends of the colours; 1 is the limit."""
LEAST_DIFFERENCE, MOST_DIFFERENCE = 1e-9, 10.0
METRICS = ("max", "mean", "99.9 %", "1 - cosine", "of limit")


def draw_parity(report: ParityReport, path: Path, title: str) -> None:
    """Draw cases x parts, and tensors x metrics.

    Args:
        path: .png, .pdf or .svg; written whole or not at all.

    Raises:
        MerEdgeError: see ``mer_edge.pictures.check_picture``; or the disk says no.
    """
    check_picture(path)
    from matplotlib.figure import Figure

    cases, parts, shares = shares_by_case(report)
    rows = report.worst_of_each()
    height = 2.2 + 0.26 * max(len(cases), len(rows))
    figure = Figure(figsize=(15, height), layout="constrained")
    figure.suptitle(title)
    left, right = figure.subplots(1, 2, width_ratios=(len(parts), len(METRICS) + 1))
    _draw_cases(left, cases, parts, shares)
    _draw_metrics(right, report)
    with new_file(path, "drawing the picture") as temporary:
        figure.savefig(temporary, dpi=110)


def shares_by_case(
    report: ParityReport,
) -> tuple[list[str], list[str], NDArray[np.float64]]:
    """Cases, parts, and of each pair the largest share of a limit, shape = (cases, parts); NaN
    where the case does not run the part or nothing of it is limited."""
    found: dict[tuple[str, str], float] = {}
    for one in report.measured:
        if one.share_of_limit is not None:
            key = (one.case, one.part)
            found[key] = max(found.get(key, 0.0), one.share_of_limit)
    parts = [part for part in PARTS if any(key[1] == part for key in found)]
    worst: dict[str, float] = {}
    for (case, _), share in found.items():
        worst[case] = max(worst.get(case, 0.0), share)
    kept = set(sorted(worst, key=lambda case: -worst[case])[:MOST_CASES])
    cases = [case for case in worst if case in kept]
    shares = [[found.get((case, part), np.nan) for part in parts] for case in cases]
    return cases, parts, np.array(shares, np.float64).reshape(len(cases), len(parts))


def _draw_cases(axes: Any, cases: list[str], parts: list[str], shares: NDArray[np.float64]) -> None:
    _heat(axes, shares, LEAST_SHARE, MOST_SHARE, [[_percent(x) for x in row] for row in shares])
    axes.set_xticks(range(len(parts)), parts)
    axes.set_yticks(range(len(cases)), [_plain(_short(case)) for case in cases], fontsize=7)
    axes.set_title("share of the limit, by case (100 % is all that is allowed)", fontsize=10)


def _draw_metrics(axes: Any, report: ParityReport) -> None:
    rows = report.worst_of_each()
    values = np.array(
        [
            (
                one.comparison.max_abs,
                one.comparison.mean_abs,
                one.comparison.quantile_999_abs,
                1 - one.comparison.cosine,
            )
            for one in rows
        ]
    ).reshape(len(rows), 4)
    shares = np.array([[np.nan if x.share_of_limit is None else x.share_of_limit] for x in rows])
    numbers = [[f"{value:.1e}" for value in row] for row in values]
    blank = np.full((len(rows), 1), np.nan)
    # Differences in blue: whether they are much or little only the limit says, in its own colours.
    columns = np.concatenate([values, blank], axis=1)
    _heat(axes, columns, LEAST_DIFFERENCE, MOST_DIFFERENCE, [[*n, ""] for n in numbers], "Blues")
    columns = np.concatenate([np.full_like(values, np.nan), shares], axis=1)
    labels = [[""] * values.shape[1] + [_percent(share[0])] for share in shares]
    _heat(axes, columns, LEAST_SHARE, MOST_SHARE, labels)
    names = [f"{one.part}: {one.comparison.name} ({one.precision})" for one in rows]
    axes.set_xticks(range(len(METRICS)), METRICS)
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.set_title("each tensor in the case nearest to its limit", fontsize=10)


def _heat(
    axes: Any,
    values: NDArray[np.float64],
    least: float,
    most: float,
    labels: list[list[str]],
    colours: str = "RdYlGn_r",
) -> None:
    from matplotlib.colors import LogNorm

    shown = np.clip(np.nan_to_num(values, nan=np.nan, posinf=most), least, most)
    norm = LogNorm(least, most)
    axes.imshow(shown, norm=norm, cmap=colours, aspect="auto")
    for (row, column), value in np.ndenumerate(shown):
        if not np.isnan(value):
            low_is_dark = colours != "Blues"
            dark = norm(value) > 0.8 or (low_is_dark and norm(value) < 0.15)
            label, colour = labels[row][column], "white" if dark else "black"
            axes.text(column, row, label, color=colour, ha="center", va="center", fontsize=7)
    axes.tick_params(length=0)


def _percent(share: float) -> str:
    if np.isinf(share):
        return "not finite"
    return f"{share:.3g}" if share > 10 else f"{share:.2%}"


def _short(case: str) -> str:
    return case if len(case) <= 62 else f"{case[:30]}...{case[-29:]}"


def _plain(text: str) -> str:
    """Without matplotlib's formula signs."""
    return text.replace("$", r"\$")
