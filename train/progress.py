"""How a long stage tells what it is doing, without knowing who shows it."""

from __future__ import annotations

import time
from typing import Protocol


class Progress(Protocol):
    """What the command line draws as a bar; a library user may pass their own."""

    def step(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """``done`` of ``total`` steps of ``stage`` are through; ``detail`` is its newest figure."""

    def note(self, text: str, *, warning: bool = False) -> None:
        """One line of text; a warning is about the user's data, such as a clip left out."""


class Silent:
    """Shows nothing."""

    def step(self, stage: str, done: int, total: int, detail: str = "") -> None:
        pass

    def note(self, text: str, *, warning: bool = False) -> None:
        pass


class Lines:
    """Lines with the time, for a log that somebody reads later."""

    def step(self, stage: str, done: int, total: int, detail: str = "") -> None:
        if done == total or done % max(1, total // 50) == 0:
            self.note(f"{stage} {done}/{total} {detail}")

    def note(self, text: str, *, warning: bool = False) -> None:
        print(time.strftime("%H:%M:%S"), text, flush=True)
