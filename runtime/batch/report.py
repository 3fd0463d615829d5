"""What a batch job tells while it runs and at its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mer_edge.bundle import Manifest
from runtime.audience import Audience
from runtime.batch.record import FileRecord
from runtime.introduction import introduce
from runtime.report import decision_line
from runtime.results import printable


class JobReport:
    """Takes records as they come.

    Args:
        json: one JSON object a line on stdout, and nothing else there.
        quiet: one short line a clip, and no bar, summary or next command.
        out: where the results are kept; None for nowhere: then one short line a clip all the same.
    """

    def __init__(self, *, json: bool, quiet: bool, out: Path | None) -> None:
        self._json, self._quiet, self._out = json, quiet, out
        self._lines = quiet or out is None
        self._audience = Audience(out)
        self._bar: Any = None
        self._started_s = time.monotonic()
        self.files = self.clips = self.failed = 0
        """Of this run."""

    def begin(self, manifest: Manifest) -> None:
        """Say which model speaks."""
        introduce(manifest, self._audience, json=self._json, quiet=self._quiet)

    def record(self, record: FileRecord) -> None:
        """Tell of one file."""
        self.files += 1
        self.clips += len(record.results)
        self.failed += record.error is not None
        if self._bar is not None:
            self._bar.update(0, advance=1, detail=f"{self._rate():.1f} clips/s")
        if self._json:
            with self._audience.told():
                sys.stdout.buffer.write(b"".join(record.lines()))
                sys.stdout.flush()
        elif self._lines:
            for result in record.results:
                self._print(decision_line(result))
        if record.error is not None:
            self._print(f"error: {record.error}", error=True)

    @contextmanager
    def progress(self, files: int, done: int) -> Iterator[None]:
        """A bar on stderr, where that is a terminal."""
        self._started_s = time.monotonic()
        if self._quiet or not sys.stderr.isatty():
            yield
            return
        self._bar = _bar()
        self._bar.add_task("files", total=files, completed=done, detail="")
        with self._bar:
            yield
        self._bar = None

    def interrupted(self, kept: Path | None, done: int, files: int) -> None:
        """What stands after Ctrl-C.

        Args:
            kept: where the results of ``done`` files are; None where nobody keeps them.
        """
        told = f"interrupted: {done} of {files} files were done"
        if kept is not None and done:
            told = f"interrupted: {done} of {files} files are in {printable(str(kept))}; "
            told += "the same command goes on from there"
        print(told, file=sys.stderr, flush=True)

    def close(self, done_before: int, notes: list[str], following: str) -> None:
        """Print what was done, where it is, and what comes next."""
        if self._json or self._quiet:
            return
        told = [f"{self.clips} clips of {self.files} files ({self._rate():.1f} clips/s)"]
        if self.failed:
            told.append(f"{self.failed} of the files failed")
        if done_before:
            told.append(f"{done_before} files were done before")
        self._print("; ".join(told))
        for note in notes:
            self._print(note)
        if self._out is not None:
            self._print(f"wrote {self._out}")
        self._print(f"next: {following}")

    def _rate(self) -> float:
        return self.clips / max(time.monotonic() - self._started_s, 1e-9)

    def _print(self, text: str, *, error: bool = False) -> None:
        stream = sys.stderr if error else sys.stdout
        if self._bar is None:
            with self._audience.told(stream):
                print(printable(text), file=stream, flush=True)
            return
        self._bar.stop()  # off the terminal while something else is printed
        try:
            with self._audience.told(stream):
                print(printable(text), file=stream, flush=True)
        finally:
            self._bar.start()


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}", markup=False),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
