"""The manifest of a data set: ``manifest.jsonl``, one JSON object a line, one line a clip.

``{"media": "clips/0001.mp4", "text": "...", "labels": ["happy"], "split": "train"}``

``media`` is relative to the manifest (or absolute); without it, or with null, the line is a sample
of text alone. ``text`` may be null where nobody wrote down what is said, ``labels`` may hold none
or several names. Optional: ``start`` and ``end`` in seconds (several lines may then share a file),
``name``, ``group`` (speaker), ``frame_rate`` (Hz), ``frames`` and ``sound`` of a folder of frames,
``faces`` ("detect" or "aligned"). Other fields are left alone, so that a data set can record more
of itself. A table of the same columns, ``manifest.csv``, serves as well
(:mod:`mer_edge.samples.table`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from mer_edge.errors import MerEdgeError
from mer_edge.samples.line import ManifestLine, sample_of
from mer_edge.samples.sample import Sample
from mer_edge.samples.table import csv_lines

MANIFEST_NAME = "manifest.jsonl"
CSV_NAME = "manifest.csv"


def read_manifest(path: Path, labels: Sequence[str] | None = None) -> list[Sample]:
    """The samples of a manifest, in its order.

    Args:
        path: The file, a table if its name ends in ``.csv``; or the directory that holds it as
            ``manifest.jsonl`` or ``manifest.csv``.
        labels: The names that may appear; by default every name may.

    Raises:
        MerEdgeError: there is no such file or both are there, it is empty or not UTF-8, or a line
            of it has not the manifest's form, lacks a field, names an unknown split or label, a
            missing file, or a clip that an earlier line named.
    """
    path = _find(Path(path))
    samples: list[Sample] = []
    first_line: dict[tuple[Path | None, float | None, float | None, str, str], int] = {}
    for number, line in _lines(path):
        where = f"{path}, line {number}"
        sample = sample_of(line, path.parent, labels, where)
        place = (sample.media, sample.start_s, sample.end_s, sample.frames, sample.sound)
        earlier = first_line.setdefault(place, number)
        if sample.media is not None and earlier != number:
            raise MerEdgeError(
                f"{where}: {sample.media} is on line {earlier} already; expected each clip once, "
                "or splits could share it; remove one of the lines"
            )
        samples.append(sample)
    if not samples:
        raise MerEdgeError(f"{path}: no sample; expected one {_form(path)} a line")
    return samples


def _find(path: Path) -> Path:
    if not path.is_dir():
        return path
    if not (path / CSV_NAME).is_file():
        return path / MANIFEST_NAME
    if (path / MANIFEST_NAME).is_file():
        raise MerEdgeError(
            f"{path}: found both {MANIFEST_NAME} and {CSV_NAME}; expected one of them; name the "
            "file that counts, or remove the other"
        )
    return path / CSV_NAME


def _is_table(path: Path) -> bool:
    return path.suffix.lower() == ".csv"


def _form(path: Path) -> str:
    return "clip" if _is_table(path) else "JSON object"


def _lines(path: Path) -> Iterator[tuple[int, ManifestLine]]:
    """Each clip's fields and the number of their line, from 1."""
    text = _read(path)
    if _is_table(path):
        yield from csv_lines(text, path)
        return
    # Split at line feeds alone: JSON may hold the other separators that Python knows.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, _decode(line, f"{path}, line {number}")


def _read(path: Path) -> str:
    if not path.is_file():
        raise MerEdgeError(
            f"{path}: no such file; expected a data set's {MANIFEST_NAME} or {CSV_NAME}, or the "
            "directory it is in"
        )
    try:
        # Editors on Windows put a byte order mark in front; JSON does not allow it.
        with path.open(encoding="utf-8-sig", newline="") as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise MerEdgeError(
            f"{path}: byte {error.start} is not UTF-8; expected UTF-8 text, one {_form(path)} a "
            "line"
        ) from error
    except OSError as error:
        raise MerEdgeError(f"{path}: cannot read it: {error.strerror}") from error


def _decode(text: str, where: str) -> ManifestLine:
    try:
        return msgspec.json.decode(text, type=ManifestLine)
    except msgspec.ValidationError as error:
        raise MerEdgeError(
            f"{where}: {error}; expected an object with media (text, or null), text (text or "
            "null), labels (list of text), split (text) and what else docs/datasets.md names"
        ) from error
    except msgspec.DecodeError as error:
        raise MerEdgeError(f"{where}: {error}; expected one JSON object a line") from error
