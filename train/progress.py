"""How a long stage tells what it is doing, without knowing who shows it."""

from __future__ import annotations

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
