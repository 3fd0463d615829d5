"""What ``mer-edge infer`` tells of its results: tables, JSON lines, a file, pictures, progress."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from mer_edge.bundle import Manifest
from mer_edge.cli.main import one_line
from mer_edge.errors import MerEdgeError
from mer_edge.files import check_new_file
from mer_edge.result import Result, decision_text, reason_text
from runtime.audience import Audience
from runtime.introduction import introduce
from runtime.result_lines import ResultLines
from runtime.results import printable


class FileProgress(Protocol):
    """Told of each file that begins."""

    def start_file(self, file: Path) -> None: ...


class Report:
    """Takes results and errors as they come; a context manager that leaves them on disk.

    Args:
        json: one JSON object a line on stdout, and nothing else there.
        quiet: one short line a clip, and no notice, progress or next command; the model's name is
            said once, on stderr.
        out: gets the JSON lines as well (``runtime.result_lines.ResultLines``).
        plot: gets the picture of the first result; the others go to ``<name>-2`` and so on.

    Raises:
        MerEdgeError: ``out`` or ``plot`` cannot be written, or matplotlib is not installed.
    """

    def __init__(
        self, *, json: bool, quiet: bool, out: Path | None = None, plot: Path | None = None
    ) -> None:
        self._json, self._quiet = json, quiet
        self._out, self._plot = out, plot
        self._lines = None if out is None else ResultLines(out)
        self._audience = Audience(out)
        self._pictures: list[Path] = []
        self._bar: Any = None
        self.notice = ""
        """The bundle's notice: printed once at the end instead of below every table."""
        if plot is not None:
            check_new_file(plot, f"--plot {plot}")
            from mer_edge.pictures import check_result_picture

            check_result_picture(plot)

    def __enter__(self) -> Report:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._lines is not None:
            self._lines.__exit__(kind, error, trace)

    def begin(self, manifest: Manifest) -> None:
        """Say which model speaks, before its first result."""
        self.notice = manifest.notice
        introduce(manifest, self._audience, json=self._json, quiet=self._quiet)

    def result(self, result: Result) -> None:
        """Tell of one clip's decision."""
        if self._json or self._out is not None:
            self._json_line(result)
        if not self._json:
            with self._bar_aside(), self._audience.told():
                self._show(result)
        if self._plot is not None:
            self._draw(result, self._plot)

    def error(self, file: Path, error: MerEdgeError) -> None:
        """Tell of a file that could not be recognised."""
        message = printable(one_line(str(error)))
        with self._bar_aside(), self._audience.told(sys.stderr):
            print(f"error: {message}", file=sys.stderr, flush=True)
        if self._json or self._out is not None:
            self._json_line({"source": printable(str(file)), "error": message})

    def write_out(self) -> None:
        """All files are done: ``out`` is whole.

        Raises:
            MerEdgeError: the disk says no.
        """
        if self._lines is not None:
            self._lines.finish()

    def interrupted(self, done: int, files: int) -> None:
        """What stands after Ctrl-C, of which ``done`` files are all."""
        told = f"interrupted: {done} of {files} files were done"
        if self._lines is not None and (lines := self._lines.count()):
            told += f"; what was finished, {lines} lines, is in {self._lines.path}"
        print(printable(told), file=sys.stderr, flush=True)

    def close(self, next_command: str, once: str | None = None) -> None:
        """Print the notice, what was written, what is said ``once``, and what comes next."""
        if self._json or self._quiet:
            return
        with self._audience.told():
            self._print_end(next_command, once)

    def _print_end(self, next_command: str, once: str | None) -> None:
        from rich.console import Console

        console = Console(highlight=False, soft_wrap=True)
        if self.notice:
            console.print(f"notice: {self.notice}", markup=False, style="yellow")
        for path in [*([self._out] if self._out else []), *self._pictures]:
            console.print(f"wrote {printable(str(path))}", markup=False)
        if once is not None:
            console.print(f"once: {printable(once)}", markup=False)
        console.print(f"next: {printable(next_command)}", markup=False)

    @contextmanager
    def progress(self, files: int) -> Iterator[FileProgress]:
        """A bar on stderr, where that is a terminal and there is more than one file."""
        if self._quiet or files < 2 or not sys.stderr.isatty():
            yield _NoBar()
            return
        bar = _Bar(files)
        self._bar = bar.bar
        with bar.bar:
            yield bar
        self._bar = None

    def _json_line(self, value: Any) -> None:
        import msgspec

        line = msgspec.json.encode(value) + b"\n"
        if self._lines is not None:
            self._lines.add(line)
        if self._json:
            with self._audience.told():
                sys.stdout.buffer.write(line)
                sys.stdout.flush()

    def _show(self, result: Result) -> None:
        if self._quiet:
            print(decision_line(result), flush=True)
            return
        from mer_edge.result_table import print_result

        notes = [note for note in result.notes if note != self.notice]
        print_result(replace(result, notes=notes))

    def _draw(self, result: Result, plot: Path) -> None:
        from mer_edge.pictures import draw_result

        number = len(self._pictures) + 1
        path = plot if number == 1 else plot.with_stem(f"{plot.stem}-{number}")
        name = Path(result.source).name or "clip"
        draw_result(result, path, f"{name}, {result.start_s:.2f} to {result.end_s:.2f} s")
        self._pictures.append(path)

    @contextmanager
    def _bar_aside(self) -> Iterator[None]:
        """Take the bar off the terminal while something else is printed."""
        if self._bar is None:
            yield
            return
        self._bar.stop()
        try:
            yield
        finally:
            self._bar.start()


def decision_line(result: Result) -> str:
    """One line a clip: ``clip.mp4 0.00-2.00 s: happy (top happy 0.81)``."""
    return (
        f"{result.source} {result.start_s:.2f}-{result.end_s:.2f} s: {decision_text(result)} "
        f"({reason_text(result)})"
    )


class _NoBar:
    def start_file(self, file: Path) -> None:
        """There is no bar to move."""


class _Bar:
    def __init__(self, files: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        # Without redirection: rich would send what we print on stdout to this console's stderr.
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self.bar.add_task("starting", total=files)
        self._started = 0

    def start_file(self, file: Path) -> None:
        description = printable(file.name)
        self.bar.update(self._task, completed=self._started, description=description)
        self._started += 1
