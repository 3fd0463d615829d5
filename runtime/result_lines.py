"""JSON lines on disk as they are made: what is finished survives Ctrl-C, a crash and a kill."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from mer_edge.files import FREE_SPACE, check_new_file, disk_errors
from runtime.output_paths import check_no_job

MANY_BYTES = 1 << 20


class LineFile:
    """A file of whole lines: each is written in one go, past every buffer, or not at all.

    Args:
        path: of the file.
        mode: of ``open``: ``xb`` for a new file only, ``wb`` in the place of another, ``ab`` behind
            what is there.

    Raises:
        OSError: the system's.
    """

    def __init__(self, path: Path, mode: str) -> None:
        self._file: BinaryIO = path.open(mode, buffering=0)  # type: ignore[assignment]

    def add(self, line: bytes) -> None:
        """Append a line with its end, or several that belong together.

        Raises:
            OSError: it is not in the file, not even a part of it.
        """
        start = self._file.tell()
        try:
            view = memoryview(line)
            while view:
                view = view[self._file.write(view) :]
        except OSError:  # a full disk may have taken a part
            self._file.truncate(start)
            self._file.seek(start)
            raise

    def sync(self) -> None:
        """Onto the disk, for the day the power fails."""
        os.fsync(self._file.fileno())

    def is_at(self, path: Path) -> bool:
        """Whether it still has this name, and nothing else has taken it."""
        try:
            there, ours = path.stat(), os.fstat(self._file.fileno())
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def close(self) -> None:
        """What was added stays."""
        self._file.close()


def crc_of(lines: Iterable[bytes]) -> int:
    """CRC-32 of lines one behind the other."""
    crc = 0
    for line in lines:
        crc = zlib.crc32(line, crc)
    return crc


class ResultLines:
    """The lines of ``--out``, beside it under another name until all are there; a context manager.

    For ``results.jsonl`` that is ``results.part.jsonl``, or ``results.part-2.jsonl`` and so on
    where a run that did not finish, or one that is still running, has left or has the name before.
    What is at ``--out`` stays until :meth:`finish` puts the whole file in its place.

    Args:
        out: where the lines are to be.

    Raises:
        MerEdgeError: no file can be there, or the results of a folder job are.
    """

    def __init__(self, out: Path) -> None:
        check_new_file(out, f"--out {out}")
        check_no_job(out)
        self._out = out
        self._file: LineFile | None = None
        self.path: Path | None = None
        """Where the lines are now; None before the first."""
        self._added = 0

    def __enter__(self) -> ResultLines:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
        if self.path is not None and self.path != self._out and not self.count():
            self.path.unlink(missing_ok=True)

    def count(self) -> int:
        """Lines on disk."""
        return 0 if self.path is None else count_lines(self.path)

    def add(self, line: bytes) -> None:
        """Write a line.

        Raises:
            MerEdgeError: the disk is full or gone; the lines before it are there.
        """
        with disk_errors(self._out, "writing the results", self._kept()):
            self._opened().add(line)
        self._added += 1

    def finish(self) -> None:
        """All lines are there: they take the place of ``--out``.

        Raises:
            MerEdgeError: the disk is full or gone, or a folder job has begun there; the lines are
                where they were.
        """
        check_no_job(self._out)
        with disk_errors(self._out, "writing the results", self._kept()):
            self._opened().close()
            assert self.path is not None
            self.path.replace(self._out.resolve())
            self.path = self._out

    def _kept(self) -> str:
        advice = f"{FREE_SPACE}, or choose another --out"
        if not self._added:
            return f"nothing was finished before; {advice}"
        return f"the {self._added} lines before are in {self.path}; {advice}"

    def _opened(self) -> LineFile:
        if self._file is None:
            # Beside the file that is meant where --out is a link, to be renamed on one disk.
            place = self._out.resolve()
            place.parent.mkdir(parents=True, exist_ok=True)
            self._file, self.path = _open_part(place)
        return self._file


def count_lines(path: Path) -> int:
    """Whole lines of a file; 0 where there is none."""
    try:
        with path.open("rb") as file:
            return sum(piece.count(b"\n") for piece in iter(lambda: file.read(MANY_BYTES), b""))
    except FileNotFoundError:
        return 0


def _open_part(place: Path) -> tuple[LineFile, Path]:
    """A new file under the first name that nobody has."""
    for number in count(1):
        suffix = ".part" if number == 1 else f".part-{number}"
        part = place.with_name(place.stem + suffix + place.suffix)
        try:
            return LineFile(part, "xb"), part
        except FileExistsError:
            continue
    raise AssertionError  # the numbers do not end
