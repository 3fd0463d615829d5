"""What was measured, as tables for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mer_edge.parity.limits import Limits
from mer_edge.parity.record import DecisionParity, Parity, TensorParity


def print_parity(parity: Parity, console: Console | None = None) -> None:
    """Print per part the tensors at their worst, and what becomes of the decisions."""
    console = console or Console(highlight=False)
    console.print(tensor_table(parity))
    if parity.decisions:
        console.print(decision_table(parity))
    for precision, limits in parity.limits.items():
        console.print(Text(f"allowed, {precision}: {_allowed(limits)}", style="dim"))
    console.print(Text(_clips(parity), style="dim"))


def tensor_table(parity: Parity) -> Table:
    """One row a tensor of a part, in the case that comes nearest to its limit."""
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for column in ("part", "precision", "tensor"):
        table.add_column(column, no_wrap=True)
    for column in ("max", "mean", "99.9 %", "cosine", "of limit"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in parity.tensors:
        table.add_row(
            row.part,
            row.precision,
            row.tensor,
            *(f"{value:.2g}" for value in (row.max_abs, row.mean_abs, row.quantile_999_abs)),
            f"{row.cosine:.7f}",
            _share(row),
        )
    return table


def decision_table(parity: Parity) -> Table:
    """One row a part and kind of clips: how many labels' decisions count and agree, the clips that
    agree as a whole, and the changes of probabilities."""
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for column in ("decisions", "clips"):
        table.add_column(column, no_wrap=True)
    for column in ("labels", "agree", "whole", "max", "mean", "of limit"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in parity.decisions:
        table.add_row(
            row.part,
            f"{row.clips} {row.source}",
            str(row.decisions),
            _agreement(row.agreement),
            _agreement(row.clip_agreement),
            f"{row.max_probability_change:.2g}",
            f"{row.mean_probability_change:.2g}",
            _share(row),
        )
    return table


def _agreement(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"


def _share(row: TensorParity | DecisionParity) -> Text:
    if row.share_of_limit is None:
        return Text("-")
    failed = row.share_of_limit > 1
    return Text(f"{row.share_of_limit:.2%}", style="bold red" if failed else "green")


def _allowed(limits: Limits) -> str:
    allowed = [
        (limits.absolute, "difference {:g}"),
        (limits.cosine, "cosine of features {:g}"),
        (limits.agreement, "agreement {:.1%}"),
        (limits.max_probability_change, "change of a probability {:g}"),
        (limits.mean_probability_change, "mean change of probabilities {:g}"),
        (limits.mean_weight_change, "mean change of weights {:g}"),
    ]
    return ", ".join(text.format(value) for value, text in allowed if value is not None)


def _clips(parity: Parity) -> str:
    real = f"{parity.real_clips} real clips" if parity.real_clips else "no real clips"
    return f"compared on {parity.cases} random batches and {real}"
