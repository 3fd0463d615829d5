"""Where a job's results go: lines in the order of the files, and a journal that says of which.

JSON lines are written to ``--out`` itself, a file at a time; for Parquet to a file of lines beside
it, which becomes a table in one rename when all are done. A run that was killed at any moment is
continued by the next: what the journal vouches for stands, what came after it is cut off.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path

from mer_edge.errors import MerEdgeError
from mer_edge.files import FREE_SPACE, check_new_file, disk_errors, new_file
from runtime.batch import table
from runtime.batch.journal import Entry, Journal
from runtime.batch.record import FileRecord
from runtime.batch.settings import JobSettings, check_same
from runtime.output_paths import journal_path
from runtime.result_lines import LineFile, crc_of
from runtime.results import printable

PARQUET_SUFFIX = ".parquet"
SYNC_EVERY_S = 1.0
"""A power failure may cost what was done since; a kill costs nothing that was written."""
GO_ON = f"{FREE_SPACE} and run the same command again"
KEPT = f"what is complete is kept; {GO_ON}"


def lines_path(out: Path) -> Path:
    """Where the lines are while a job runs: ``out`` itself, but for a table beside it."""
    return out.with_name(out.name + ".part.jsonl") if is_table(out) else out


def is_table(out: Path) -> bool:
    """Whether the results are to be Parquet."""
    return out.suffix.lower() == PARQUET_SUFFIX


def written_files(out: Path) -> dict[str, Path]:
    """All that a job writes for ``out``, by what names each in a message."""
    files = {"--out": out, "the journal of --out,": journal_path(out)}
    return files | {"the lines of --out,": lines_path(out)} if is_table(out) else files


class Store:
    """The open results of a job; a context manager that leaves finished work on disk.

    Args:
        out: ``.jsonl`` or ``.parquet``.
        settings: of this run.
        labels: of the bundle, the columns of a table.
        overwrite: start anew whatever is there.

    Raises:
        MerEdgeError: ``out`` cannot be written, was not begun by a job, was begun with another
            bundle or other options, or is being written by another process.
        MissingExtraError: a table is wanted and pyarrow is not installed.
    """

    def __init__(
        self, out: Path, settings: JobSettings, labels: list[str], *, overwrite: bool = False
    ) -> None:
        check_new_file(out, f"--out {out}")
        if is_table(out):
            table.require_pyarrow()
        self.out = out
        self._labels = labels
        self._lines = lines_path(out)
        self._synced_s = time.monotonic()
        with disk_errors(out, "opening the results", KEPT), ExitStack() as undo:
            self._check_ours(overwrite)
            self._journal = Journal(journal_path(out), out)
            undo.callback(self._journal.close)
            self._results: LineFile | None = None
            self._open(settings, overwrite)
            undo.pop_all()

    @property
    def done(self) -> set[str]:
        """Keys of the files that are complete."""
        return {entry.file for entry in self._journal.entries}

    @property
    def kept(self) -> Path | None:
        """Where the results are now; None where there is none yet."""
        return next((path for path in (self._lines, self.out) if path.exists()), None)

    @property
    def failed(self) -> int:
        """Files that ended in an error."""
        return sum(entry.failed for entry in self._journal.entries)

    def add(self, record: FileRecord) -> None:
        """Write what there is of a file.

        Raises:
            MerEdgeError: the disk is full or gone.
        """
        lines = record.lines()
        with disk_errors(self.out, "writing the results", self._advice()):
            if self._results is None:
                self._restore_lines()
                self._results = LineFile(self._lines, "ab")
            joined = b"".join(lines)
            entry = Entry(record.key, len(lines), record.error is not None, crc_of([joined]))
            self._results.add(joined)
            self._journal.add(entry)
            if time.monotonic() - self._synced_s > SYNC_EVERY_S:
                self._sync()

    def finish(self) -> None:
        """All files are done: a table is made of the lines, in one rename.

        Raises:
            MerEdgeError: the disk is full or gone.
        """
        with disk_errors(self.out, "writing the results", self._advice()):
            self._sync()
            if is_table(self.out) and self._lines.exists():
                with new_file(self.out, "writing the table", advice=self._advice()) as temporary:
                    table.write_table(self._lines, temporary, self._labels)
                self._lines.unlink()

    def close(self) -> None:
        """What was added stays; where that is nothing, nothing is left."""
        if self._results is not None:
            self._results.close()
        if not self._journal.entries and self.kept is None:
            with suppress(OSError):  # Windows removes no open file
                journal_path(self.out).unlink()
        self._journal.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def _advice(self) -> str:
        """Where there is something, a message says where."""
        return KEPT if self.kept is None else f"what is complete is in {self.kept}; {GO_ON}"

    def _sync(self) -> None:
        # The lines first: the journal must never vouch for what a power failure took.
        if self._results is not None:
            self._check_still_there(self._results)
            self._results.sync()
        self._journal.sync()
        self._synced_s = time.monotonic()

    def _check_still_there(self, results: LineFile) -> None:
        if not results.is_at(self._lines):
            raise MerEdgeError(
                f"{self._lines}: another program has put something else in its place while the "
                "job ran; expected to be alone with it; run the job again with another --out"
            )

    def _check_ours(self, overwrite: bool) -> None:
        if self.out.exists() and not journal_path(self.out).exists() and not overwrite:
            raise MerEdgeError(
                f"{self.out} exists and {journal_path(self.out).name}, which says what it is, does "
                "not lie beside it; name another --out, or add --overwrite to replace it"
            )

    def _open(self, settings: JobSettings, overwrite: bool) -> None:
        journal = self._journal
        if overwrite or journal.settings is None:
            self._lines.unlink(missing_ok=True)
            journal.begin(settings)
            return
        self._put_in_place(journal.replacement)
        available = self._count_lines()
        if available and journal.entries:
            check_same(self.out, journal.settings, settings)
        complete, lost = _split(journal.entries, available)
        if not is_table(self.out):  # whose lines are made anew of the table
            self._check_lines(complete)
        if not complete:
            self._lines.unlink(missing_ok=True)
            journal.begin(settings)
            return
        if self._lines.exists():
            _cut(self._lines, sum(entry.lines for entry in complete))
        if lost:
            journal.drop({entry.file for entry in lost}, None)
        self._without_failed()

    def _count_lines(self) -> int:
        """Whole lines of what is there."""
        if self._lines.exists():
            with self._lines.open("rb") as file:
                return sum(line.endswith(b"\n") for line in file)
        return table.count_rows(self.out) if is_table(self.out) and self.out.exists() else 0

    def _check_lines(self, complete: list[Entry]) -> None:
        """They are what the job wrote, not somebody else's."""
        if not complete:
            return
        with self._lines.open("rb") as file:
            for entry in complete:
                if crc_of(islice(file, entry.lines)) != entry.crc32:
                    raise MerEdgeError(
                        f"{self._lines}: the lines of {printable(entry.file)} are not those that "
                        "the job wrote; another program has changed or replaced the file; name "
                        "another --out, or add --overwrite to do all files again"
                    )

    def _restore_lines(self) -> None:
        """A table becomes lines again, for more to be added."""
        if is_table(self.out) and not self._lines.exists() and self.out.exists():
            with new_file(self._lines, "reading the table", advice=KEPT) as temporary:
                table.read_table(self.out, temporary)

    def _without_failed(self) -> None:
        """Files that failed are tried again: their lines go, in one rename the journal knows of."""
        entries = self._journal.entries
        failed = {entry.file for entry in entries if entry.failed}
        if not failed:
            return
        self._restore_lines()
        name = f".{self._lines.name}.{os.urandom(4).hex()}.new"
        replacement = self._lines.with_name(name)
        try:
            with self._lines.open("rb") as lines, replacement.open("wb") as kept:
                for entry in entries:
                    for _ in range(entry.lines):
                        line = lines.readline()
                        if not entry.failed:
                            kept.write(line)
                kept.flush()
                os.fsync(kept.fileno())
            self._journal.drop(failed, name)
        except BaseException:
            replacement.unlink(missing_ok=True)
            raise
        self._put_in_place(name)

    def _put_in_place(self, name: str | None) -> None:
        """The rename that a kill may have come before; others' leftovers go."""
        for leftover in self._lines.parent.glob(f".{_escaped(self._lines.name)}.*.new"):
            if leftover.name == name:
                leftover.replace(self._lines)
            else:
                leftover.unlink(missing_ok=True)


def _escaped(name: str) -> str:
    import glob

    return glob.escape(name)


def _split(entries: list[Entry], available: int) -> tuple[list[Entry], list[Entry]]:
    """Those whose lines are there, and those that a power failure took the lines of."""
    total = 0
    for number, entry in enumerate(entries):
        total += entry.lines
        if total > available:
            return entries[:number], entries[number:]
    return entries, []


def _cut(path: Path, lines: int) -> None:
    """Keep the first ``lines`` lines."""
    with path.open("r+b") as file:
        for _ in range(lines):
            file.readline()
        end = file.tell()
        if file.read(1):  # a file that ends there is not touched
            file.truncate(end)
