"""The progress of an export."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Told ``(step, done, total)``: what is being done, and how many steps of how many are behind."""


class Steps:
    """Counts the steps of one export for whoever watches."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._total = self._done = 0
        self._step = ""

    def expect(self, steps: int) -> None:
        self._total += steps

    def start(self, step: str) -> None:
        """Say what is being done now."""
        self._step = step
        if self._progress:
            self._progress(step, self._done, self._total)

    def finish(self) -> None:
        self._done += 1
        self.start(self._step)

    def within(self, what: str, done: int, total: int) -> None:
        """One of many small steps that are counted by somebody else."""
        if done == 1:
            self.expect(total)
        self._step = what
        self.finish()
