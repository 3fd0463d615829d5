"""A prepared data set in the terminal: labels against splits, beside what was published."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from train.datasets.published import CLIPS
from train.preparation import FAILED_NAME, Preparation, SplitCount

FILE_WIDTH = 120
"""Columns of a table that goes into a file or a pipe."""
UNLIKE = "≠"


def print_preparation(found: Preparation, console: Console | None = None) -> None:
    """Print the table, what differs from the published counts, and every clip that failed."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    prepared = sum(count.prepared for count in found.splits.values())
    total = sum(count.clips for count in found.splits.values())
    console.print(
        Text(f"{found.data}: {prepared} of {total} clips in {found.store}", style="bold"),
        soft_wrap=True,
    )
    console.print(label_table(found))
    for note in (*found.differences, *found.notes):
        console.print(Text(f"note: {note}"), soft_wrap=True)
    if found.failed:
        console.print(
            Text(f"{len(found.failed)} failed, see {found.store}/{FAILED_NAME}:"), soft_wrap=True
        )
    for clip in found.failed:
        console.print(Text(f"  {clip.clip} ({clip.split}): {clip.reason}"), soft_wrap=True)


def label_table(found: Preparation) -> Table:
    """A row per label, a column per split, and one of published counts where there are any."""
    table = Table()
    table.add_column("clips of")
    for split, count in found.splits.items():
        table.add_column(split, justify="right")
        if count.published is not None:
            table.add_column("published", justify="right")
    splits = found.splits.values()
    for label in found.labels:
        table.add_row(label, *(cell for count in splits for cell in _cells(count, label)))
    table.add_section()
    table.add_row("all", *(cell for count in splits for cell in _cells(count, CLIPS)))
    prepared = [[str(c.prepared)] + ([""] if c.published is not None else []) for c in splits]
    table.add_row("prepared", *(cell for cells in prepared for cell in cells))
    return table


def _cells(count: SplitCount, name: str) -> list[Text]:
    number = count.clips if name == CLIPS else count.labels[name]
    if count.published is None:
        return [Text(str(number))]
    published = count.published.get(name)
    if published is None:
        return [Text(str(number)), Text("")]
    if published == number:
        return [Text(str(number)), Text(str(published))]
    return [Text(str(number), style="yellow"), Text(f"{UNLIKE} {published}", style="yellow")]
