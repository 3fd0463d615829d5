"""A Result as a table for people."""

from __future__ import annotations

from rich.bar import Bar
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mer_edge.result import ModalitySay, Result, decision_text
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
    if told := confidence_text(result):
        console.print(Text(told), soft_wrap=True)
    console.print(Text(_timings(result), style="dim"), soft_wrap=True)
    for note in result.notes:
        console.print(Text(f"note: {note}", style="dim"), soft_wrap=True)


def result_table(result: Result) -> Table:
    """One row a label, the decided ones marked; the last row has the modalities' weights.

    Independent labels have a column with what each needs.
    """
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("emotion")
    table.add_column("")
    table.add_column("probability", justify="right")
    if result.thresholds:
        table.add_column("needs", justify="right")
    for name in MODALITIES:
        table.add_column(name, justify="right")
    for label, probability in sorted(result.probabilities.items(), key=lambda item: -item[1]):
        decided = label in result.decision
        style = "bold green" if decided else ""
        table.add_row(
            Text(f"{'>' if decided else ' '} {label}", style=style),
            Bar(1.0, 0.0, probability, width=BAR_WIDTH, color="green" if decided else "blue"),
            Text(f"{probability:.3f}", style=style),
            *([Text(f"{result.thresholds[label]:.2f}", style="dim")] if result.thresholds else []),
            *(_said(result, name, label) for name in MODALITIES),
        )
    weights = (result.modalities[name] for name in MODALITIES)
    table.add_row(
        Text("  weight", style="dim"),
        "",
        "",
        *([""] if result.thresholds else []),
        *(Text(_weight(say), style="dim") for say in weights),
    )
    return table


def confidence_text(result: Result) -> str:
    """How sure the decision is, and what it needs; "" where there is nothing to say."""
    if not result.has_evidence:
        return "no evidence: nothing of what the network decides by is in this clip"
    if result.task == "multilabel":
        return "" if result.decision else "no label is above what it needs"
    least = result.min_confidence
    if least is None:
        return f"confidence {result.confidence:.3f}"
    if result.uncertain:
        return f"confidence {result.confidence:.3f}: below {least:.3f}, which a decision needs"
    return f"confidence {result.confidence:.3f}; a decision needs {least:.3f}"


def _said(result: Result, modality: str, label: str) -> Text:
    probabilities = result.modalities[modality].probabilities
    return Text("-" if probabilities is None else f"{probabilities[label]:.3f}")


def _weight(say: ModalitySay) -> str:
    if not say.used:
        return "not used"
    return f"{say.weight:.3f}" if say.present else "absent"


def _headline(result: Result) -> str:
    return (
        f"{result.source or 'clip'} {result.start_s:.2f}-{result.end_s:.2f} s: "
        f"{decision_text(result)} "
        f"({result.segments} segments, {result.audio_segments} with sound, "
        f"{result.face_segments} with a face)"
    )


def _timings(result: Result) -> str:
    stages = ", ".join(f"{stage} {spent:.1f}" for stage, spent in result.timings_ms.items())
    return f"ms: {stages} ({result.engine})"
