"""What has come back of each file: complete records leave in the order of the files."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from mer_edge.result import Result
from runtime.batch.record import FileRecord, make_record
from runtime.batch.sources import Source

LOOK_AHEAD_FILES = 256
"""Files that may be begun before the first unfinished one is done: what a kill can cost."""


@dataclass
class _File:
    results: dict[int, Result] = field(default_factory=dict)
    clips: int | None = None
    """How many it has; None while that is not known."""
    answered: int = 0
    failures: dict[int, str] = field(default_factory=dict)
    """By clip; the one behind the last is the file's own."""

    @property
    def complete(self) -> bool:
        return self.clips is not None and self.answered == self.clips


class Tally:
    """Hands out files and gathers what becomes of them; for many threads.

    Args:
        sources: of the job, in the order in which records leave.
    """

    def __init__(self, sources: list[Source]) -> None:
        self._sources = sources
        self._files: dict[int, _File] = {}
        self._begun = self._left = 0
        self._changed = threading.Condition()
        self._stopped = False
        self._broken: BaseException | None = None

    def begin(self) -> tuple[int, Source] | None:
        """The next file, once it may begin; None when there is none."""
        with self._changed:
            while self._begun >= self._left + LOOK_AHEAD_FILES and not self._stopped:
                self._changed.wait()
            if self._stopped or self._begun == len(self._sources):
                return None
            number = self._begun
            self._begun += 1
            self._files[number] = _File()
            return number, self._sources[number]

    def answer(self, number: int, index: int, outcome: Result | str) -> None:
        """What became of a clip: a result, or an error."""
        with self._changed:
            file = self._files[number]
            file.answered += 1
            if isinstance(outcome, Result):
                file.results[index] = outcome
            else:
                file.failures[index] = outcome
            self._changed.notify_all()

    def end(self, number: int, clips: int, error: str | None) -> None:
        """All clips of a file have been made, or an error came after so many."""
        with self._changed:
            file = self._files[number]
            file.clips = clips
            if error is not None:
                file.failures[clips] = error
            self._changed.notify_all()

    def has_failed(self, number: int) -> bool:
        """Whether more clips of the file would be of no use."""
        with self._changed:
            return bool(self._files[number].failures)

    def next_record(self) -> FileRecord | None:
        """The next file's, once it is complete; None after the last.

        Raises:
            Exception: a thread of the job broke.
        """
        with self._changed:
            if self._left == len(self._sources):
                return None
            number = self._left
            while self._broken is None and not self._is_complete(number):
                self._changed.wait()
            if self._broken is not None:
                raise self._broken
            file = self._files.pop(number)
            self._left += 1
            self._changed.notify_all()
            return _record(self._sources[number], file)

    def stop(self, broken: BaseException | None = None) -> None:
        """No more files begin."""
        with self._changed:
            self._stopped = True
            self._broken = self._broken or broken
            self._changed.notify_all()

    def _is_complete(self, number: int) -> bool:
        return number in self._files and self._files[number].complete


def _record(source: Source, file: _File) -> FileRecord:
    """Results up to the first failure, as if the clips had run one after the other."""
    first = min(file.failures, default=None)
    results = [file.results[i] for i in sorted(file.results) if first is None or i < first]
    error = None if first is None else file.failures[first]
    return make_record(source.key, source.name, results, error)
