"""What a command says before its first result: the model, its figures, its intended use."""

from __future__ import annotations

import sys

from mer_edge.bundle import Manifest
from mer_edge.cli.main import one_line
from runtime.audience import Audience
from runtime.results import printable


def introduce(manifest: Manifest, audience: Audience, *, json: bool, quiet: bool) -> None:
    """Print the model's card, where the bundle has one.

    Args:
        json: stdout is for results: the lines go to stderr.
        quiet: the first line alone, on stderr.
    """
    lines = introduction(manifest)
    stream = sys.stderr if json or quiet else sys.stdout
    with audience.told(stream):
        for line in lines[:1] if quiet else lines:
            print(printable(line), file=stream, flush=True)


def introduction(manifest: Manifest) -> list[str]:
    """The model and its figures; its intended use. Nothing of a bundle without a card."""
    card = manifest.card
    if card is None:
        return []
    return [
        one_line(f"model: {card.name} ({card.licence}): {card.summary}"),
        one_line(f"intended use: {card.intended_use}"),
    ]
