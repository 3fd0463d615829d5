"""Bars for what takes long: on stderr, so that stdout holds results alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import TaskID


class Bars:
    """One bar a stage, drawn as the stages come; a context manager.

    ``step`` and ``note`` are what ``train.progress.Progress`` asks for.

    Args:
        quiet: draw nothing and print no notes but warnings.
    """

    def __init__(self, quiet: bool = False) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        self._quiet = quiet
        self._console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description:9}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            console=self._console,
            disable=quiet,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._tasks:  # else rich would end bars that never began with an empty line
            self._bars.stop()

    def step(self, stage: str, done: int, total: int, detail: str = "") -> None:
        if stage not in self._tasks:
            self._bars.start()  # not before there is something to draw; a no-op the next time
            self._tasks[stage] = self._bars.add_task(stage, total=total, detail="")
        self._bars.update(self._tasks[stage], completed=done, total=total, detail=detail)

    def note(self, text: str, *, warning: bool = False) -> None:
        if self._quiet and not warning:
            return
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
