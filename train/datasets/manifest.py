"""The manifest of a data set: ``manifest.jsonl``, one JSON object a line, one line a clip.

``{"media": "clips/0001.mp4", "text": "...", "labels": ["happy"], "split": "train"}``

``media`` is relative to the manifest (or absolute), ``text`` may be null where nobody wrote down
what is said, ``labels`` may hold none or several names. Other fields are left alone, so that a
data set can record more of itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from mer_edge.errors import MerEdgeError

MANIFEST_NAME = "manifest.jsonl"
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Sample:
    """One labelled clip."""

    media: Path
    """A file that exists: absolute, or relative to where the manifest's own path is."""
    text: str | None
    """What is said in it; None where nothing is known of it."""
    labels: tuple[str, ...]
    """The emotions it shows, in the manifest's order; none and several are both possible."""
    split: str
    """One of ``SPLITS``."""


class _Line(msgspec.Struct):
    media: str
    text: str | None
    labels: list[str]
    split: str


def read_manifest(path: Path, labels: Sequence[str] | None = None) -> list[Sample]:
    """The samples of a manifest, in its order.

    Args:
        path: The file, or the directory that holds it as ``manifest.jsonl``.
        labels: The names that may appear; by default every name may (see ``label_names``).

    Raises:
        MerEdgeError: there is no such file, it is empty or not UTF-8, or a line of it is not a
            JSON object, lacks a field, names an unknown split or label, or a missing file.
    """
    path = Path(path)
    path = path / MANIFEST_NAME if path.is_dir() else path
    samples: list[Sample] = []
    first_line: dict[Path, int] = {}
    for number, text in enumerate(_read_lines(path), start=1):
        if not text.strip():
            continue
        where = f"{path}, line {number}"
        sample = _sample(_decode(text, where), path.parent, labels, where)
        earlier = first_line.setdefault(sample.media, number)
        if earlier != number:
            raise MerEdgeError(
                f"{where}: {sample.media} is on line {earlier} already; expected each clip once, "
                "or splits could share it; remove one of the lines"
            )
        samples.append(sample)
    if not samples:
        raise MerEdgeError(f"{path}: no sample; expected one JSON object a line")
    return samples


def label_names(samples: Iterable[Sample]) -> tuple[str, ...]:
    """Every label that appears, in alphabetical order: the classes of a data set.

    Raises:
        MerEdgeError: no sample has a label.
    """
    names = sorted({label for sample in samples for label in sample.labels})
    if not names:
        raise MerEdgeError("the data set has no label at all; expected at least one labelled clip")
    return tuple(names)


def _read_lines(path: Path) -> list[str]:
    if not path.is_file():
        raise MerEdgeError(
            f"{path}: no such file; expected a data set's {MANIFEST_NAME} or the directory it is in"
        )
    try:
        # Editors on Windows put a byte order mark in front; JSON does not allow it.
        # Split at line feeds alone: JSON may hold the other separators that Python knows.
        return path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise MerEdgeError(
            f"{path}: byte {error.start} is not UTF-8; expected UTF-8 text, one JSON object a line"
        ) from error
    except OSError as error:
        raise MerEdgeError(f"{path}: cannot read it: {error.strerror}") from error


def _decode(text: str, where: str) -> _Line:
    try:
        return msgspec.json.decode(text, type=_Line)
    except msgspec.ValidationError as error:
        raise MerEdgeError(
            f"{where}: {error}; expected an object with media (text), text (text or null), "
            "labels (list of text) and split (text)"
        ) from error
    except msgspec.DecodeError as error:
        raise MerEdgeError(f"{where}: {error}; expected one JSON object a line") from error


def _sample(line: _Line, folder: Path, allowed: Sequence[str] | None, where: str) -> Sample:
    if line.split not in SPLITS:
        raise MerEdgeError(
            f"{where}: unknown split {line.split!r}; expected one of {', '.join(SPLITS)}"
        )
    for label in line.labels:
        if allowed is not None and label not in allowed:
            raise MerEdgeError(
                f"{where}: unknown label {label!r}; expected one of {', '.join(allowed)}"
            )
        if not label.strip():
            raise MerEdgeError(f"{where}: an empty label; expected the name of an emotion")
    if len(set(line.labels)) < len(line.labels):
        raise MerEdgeError(f"{where}: a label appears twice in {line.labels}; expected it once")
    media = folder / line.media
    if not line.media or not _exists(media):
        raise MerEdgeError(
            f"{where}: {media} does not exist; expected the clip there, or its path relative to "
            "the manifest"
        )
    return Sample(media=media, text=line.text, labels=tuple(line.labels), split=line.split)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long for the file system, or a folder that may not be entered
        return False
