"""A Result as a table for people."""

from __future__ import annotations

from rich.bar import Bar
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mer_edge.result import ModalitySay, Result
from mer_edge.segments import MODALITIES

BAR_WIDTH = 24


def print_result(result: Result, console: Console | None = None) -> None:
    """Print what was recognised: probabilities, what each modality said, its weight, the times.

    Notes are printed below the table.
    """
    console = console or Console(highlight=False)
    console.print(Text(_headline(result), style="bold"), soft_wrap=True)
    if result.text is not None:
        console.print(Text(f'text: "{result.text}"', overflow="ellipsis", no_wrap=True))
    console.print(result_table(result))
    console.print(Text(_timings(result), style="dim"), soft_wrap=True)
    for note in result.notes:
        console.print(Text(f"note: {note}", style="dim"), soft_wrap=True)


def result_table(result: Result) -> Table:
    """One row a label, the decided ones marked; the last row has the modalities' weights."""
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("emotion")
    table.add_column("")
    table.add_column("probability", justify="right")
    for name in MODALITIES:
        table.add_column(name, justify="right")
    for label, probability in sorted(result.probabilities.items(), key=lambda item: -item[1]):
        decided = label in result.decision
        style = "bold green" if decided else ""
        table.add_row(
            Text(f"{'>' if decided else ' '} {label}", style=style),
            Bar(1.0, 0.0, probability, width=BAR_WIDTH, color="green" if decided else "blue"),
            Text(f"{probability:.3f}", style=style),
            *(_said(result, name, label) for name in MODALITIES),
        )
    weights = (result.modalities[name] for name in MODALITIES)
    table.add_row(
        Text("  weight", style="dim"),
        "",
        "",
        *(Text(_weight(say), style="dim") for say in weights),
    )
    return table


def _said(result: Result, modality: str, label: str) -> Text:
    probabilities = result.modalities[modality].probabilities
    return Text("-" if probabilities is None else f"{probabilities[label]:.3f}")


def _weight(say: ModalitySay) -> str:
    if not say.used:
        return "not used"
    return f"{say.weight:.3f}" if say.present else "absent"


def _headline(result: Result) -> str:
    decision = ", ".join(result.decision) or "no decision"
    return (
        f"{result.source or 'clip'} {result.start_s:.2f}-{result.end_s:.2f} s: {decision} "
        f"({result.segments} segments, {result.audio_segments} with sound, "
        f"{result.face_segments} with a face)"
    )


def _timings(result: Result) -> str:
    stages = ", ".join(f"{stage} {spent:.1f}" for stage, spent in result.timings_ms.items())
    return f"ms: {stages} ({result.engine})"
