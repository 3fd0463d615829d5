"""The journal of a job: which files are complete in the results. A line is written in one go, after
the results it vouches for, so that a kill leaves at most half a line of either.

``{"job": {...settings...}}`` first, then ``{"file": key, "lines": n, "failed": false, "crc32": c}``
a file in the order of the results, and ``{"without": [keys], "replacement": name}`` where results
were taken out again: a file beside the results, which takes their place.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mer_edge.errors import MerEdgeError
from runtime.batch.settings import JobSettings

SCHEMA = 2


@dataclass(frozen=True)
class Entry:
    """A file that is complete."""

    file: str
    """Its key."""
    lines: int
    """Of the results that are its."""
    failed: bool
    """Whether it ended in an error: it is tried again by the next run."""
    crc32: int
    """Of its lines, with their ends."""


class Journal:
    """One open journal, locked against other processes until it is closed.

    Args:
        path: of the journal; made if it is not there.
        out: the results it is about, for messages.

    Raises:
        MerEdgeError: another process has it, or it is no journal.
    """

    def __init__(self, path: Path, out: Path) -> None:
        self._path, self._out = path, out
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = path.open("a+b", buffering=0)
        try:
            self._lock()
            self.settings: JobSettings | None = None
            """Of the run that began it; None where it is new."""
            self.entries: list[Entry] = []
            self.replacement: str | None = None
            """The name of what the last ``without`` put in the place of the results."""
            self._replay()
        except BaseException:
            self._file.close()
            raise

    def begin(self, settings: JobSettings) -> None:
        """Start anew; nothing is complete."""
        self._file.truncate(0)
        self.settings, self.entries, self.replacement = settings, [], None
        self._append({"job": {"schema": SCHEMA, **asdict(settings)}})

    def add(self, entry: Entry) -> None:
        """A file is complete: its lines are in the results."""
        self._append(asdict(entry))
        self.entries.append(entry)

    def drop(self, keys: set[str], replacement: str | None) -> None:
        """Files are to be done again.

        Args:
            replacement: a file beside the results, without the lines of these files, that takes
                their place next; None where the results have none of them.
        """
        self._append({"without": sorted(keys), "replacement": replacement})
        self.entries = [entry for entry in self.entries if entry.file not in keys]
        self.replacement = replacement

    def sync(self) -> None:
        """Onto the disk, for the day the power fails."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Give the lock back."""
        self._file.close()

    def _append(self, line: dict[str, Any]) -> None:
        # Names that are not UTF-8 are in Python's strings as lone surrogates, which only the
        # standard library writes, and reads again.
        left = memoryview(json.dumps(line).encode("ascii") + b"\n")
        while left:  # a full disk may take a part, and says why with the next
            left = left[self._file.write(left) :]

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # Windows has another way; there two runs are not told apart
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise MerEdgeError(
                f"{self._out}: another mer-edge infer is writing it; expected one at a time; wait "
                "for it, or name another --out"
            ) from error

    def _replay(self) -> None:
        self._file.seek(0)
        data = self._file.read()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):  # half a line, of a run that was killed
            self._file.truncate(len(whole))
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                self._replay_line(json.loads(line), number)
            except (KeyError, TypeError, ValueError) as error:
                raise MerEdgeError(
                    f"{self._path}, line {number}: not written by mer-edge infer ({error}); "
                    "name another --out, or remove this file and the results"
                ) from error

    def _replay_line(self, line: dict[str, Any], number: int) -> None:
        if number == 1:
            job = dict(line["job"])
            if job.pop("schema") != SCHEMA:
                raise ValueError("another version's")
            self.settings = JobSettings(**job)
        elif "file" in line:
            self.entries.append(Entry(**line))
        else:
            gone = set(line["without"])
            self.entries = [entry for entry in self.entries if entry.file not in gone]
            self.replacement = line["replacement"]
