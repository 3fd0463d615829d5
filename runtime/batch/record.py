"""What a job has to say of one file: its results, and the error that ended it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from mer_edge.cli.main import one_line
from mer_edge.result import Result
from runtime.results import printable


@dataclass(frozen=True)
class FileRecord:
    """The finished work on one file."""

    key: str
    """Of its ``Source``."""
    source: str
    """Its name in messages."""
    results: tuple[Result, ...]
    """One an utterance; those before the damage where there is an error."""
    error: str | None = None
    """One line, or None."""

    def lines(self) -> list[bytes]:
        """As ``mer-edge infer --json`` prints them: the results, then the error if there is one."""
        lines = [msgspec.json.encode(result) + b"\n" for result in self.results]
        if self.error is not None:
            record = {"source": printable(self.source), "error": self.error}
            lines.append(msgspec.json.encode(record) + b"\n")
        return lines


def make_record(key: str, source: str, results: Sequence[Result], error: str | None) -> FileRecord:
    """A record whose error is one line that UTF-8 can hold."""
    told = None if error is None else printable(one_line(error))
    return FileRecord(key, source, tuple(results), told)
