"""No output takes the place of what it is made of, or of another output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from mer_edge.errors import MerEdgeError

TEXTS = (".srt", ".vtt", ".txt")
"""What a file's own text ends in, with the file's name before it."""


def check_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[Path | None]) -> None:
    """Ask before anything is opened.

    Args:
        outputs: by the option that names each.
        inputs: files that are read; the texts beside them count, too.

    Raises:
        MerEdgeError: an output is one of the inputs, or two outputs are one file.
    """
    named: dict[Path, str] = {}
    for path in (path for path in inputs if path is not None):
        for source in (path, *(path.with_suffix(ending) for ending in TEXTS if path.suffix)):
            named[source.resolve()] = "what is read"
    for option, output in outputs.items():
        if output is None:
            continue
        place = output.resolve()
        if place in named:
            raise MerEdgeError(
                f"{option} {output}: that is {named[place]}, too; expected a file of its own"
            )
        named[place] = option
