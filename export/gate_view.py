"""The gate's report for people: tables in the terminal and a picture."""

from __future__ import annotations

from pathlib import Path

from export.gate import GateReport
from mer_edge.parity.report import describe


def print_gate(report: GateReport) -> None:
    """Print what was measured, and if the bundle is refused what failed."""
    from rich.console import Console
    from rich.text import Text

    from mer_edge.parity.table import print_parity

    console = Console(highlight=False)
    print_parity(report.to_manifest(), console)
    for failure in report.parity.failures[:1]:
        console.print(Text(f"refused: {describe(failure)}", style="bold red"))


def draw_gate(report: GateReport, path: Path, title: str) -> str | None:
    """Draw the heat map of ``mer_edge.parity.picture`` to ``path``.

    Returns:
        None; or where matplotlib is not installed the note that there is no picture and why.

    Raises:
        MerEdgeError: the extension is none that can be drawn, or the disk says no.
    """
    import importlib.util

    if importlib.util.find_spec("matplotlib") is None:
        return (
            f"{path.name} was not drawn: matplotlib is not installed; "
            "run: pip install 'matplotlib>=3.8,<4'"
        )
    from mer_edge.parity.picture import draw_parity

    draw_parity(report.parity, path, title)
    return None
