"""The stages of one clip as a waterfall: what ran when, and what waited for what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mer_edge.files import new_file
from mer_edge.pictures import NO_PICTURE, STAGE_COLOURS, check_picture
from runtime.bench.spans import Span, spans_of_runs, totals_ms

OTHER_COLOURS = {"visual_stem": "#7fa8d6", "faces": "#b55a5a"}
ROW_INCHES = 0.45
LABEL_BOX = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
"""So that the line at the end does not cross a number."""


def median_run(spans: Sequence[Span]) -> int:
    """The run whose time is the median of all (of an even number the longer of the two)."""
    totals = sorted(totals_ms(spans).items(), key=lambda item: item[1])
    return totals[len(totals) // 2][0]


def draw_waterfall(spans: Sequence[Span], path: Path, title: str) -> None:
    """Draw the median run of the recorded ones: a row a stage, its time beside the bar.

    Args:
        path: .png, .pdf or .svg; written whole or not at all.

    Raises:
        MerEdgeError: matplotlib is missing, the extension is unknown, or the disk says no.
    """
    check_picture(path)
    from matplotlib.figure import Figure

    run = median_run(spans)
    drawn = sorted(spans_of_runs(spans)[run], key=lambda span: (span.start_ms, -span.end_ms))
    rows = list(dict.fromkeys(span.name for span in drawn))
    total = totals_ms(spans)[run]
    figure = Figure(figsize=(10, 1.6 + ROW_INCHES * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    for row, name in enumerate(rows):
        mine = [span for span in drawn if span.name == name]
        colour = OTHER_COLOURS.get(name) or STAGE_COLOURS.get(name, "#555555")
        axes.broken_barh([(s.start_ms, s.spent_ms) for s in mine], (row - 0.35, 0.7), color=colour)
        spent = sum(span.spent_ms for span in mine)
        end = max(span.end_ms for span in mine)
        times = f" ({len(mine)} times)" if len(mine) > 1 else ""
        axes.annotate(
            f"{spent:.1f} ms{times}",
            (end, row),
            (4, 0),
            textcoords="offset points",
            va="center",
            bbox=LABEL_BOX,
        )
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xlim=(0, total * 1.18), xlabel="ms since the clip was given")
    axes.axvline(total, color="#2b2f33", linewidth=1, linestyle="--")
    axes.invert_yaxis()
    recorded = len(totals_ms(spans))
    # These runs come after those of the table: on a noisy machine their median is another.
    axes.set_title(
        f"{title.replace('$', chr(92) + '$')}\n"
        f"{total:.1f} ms in all, the median of {recorded} runs that were recorded for this picture"
    )
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    with new_file(path, "drawing the picture", advice=NO_PICTURE) as temporary:
        figure.savefig(temporary, dpi=120)
