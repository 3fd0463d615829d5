"""The manifest of a data set: ``manifest.jsonl``, one JSON object a line, one line a clip.

``{"media": "clips/0001.mp4", "text": "...", "labels": ["happy"], "split": "train"}``

``media`` is relative to the manifest (or absolute), ``text`` may be null where nobody wrote down
what is said, ``labels`` may hold none or several names. Optional: ``start`` and ``end`` in seconds
(several lines may then share a file), ``name``, ``group`` (speaker), ``frame_rate`` (Hz),
``frames`` and ``sound`` of a folder of frames, ``faces`` ("detect" or "aligned"). Other fields are
left alone, so that a data set can record more of itself. A table of the same columns,
``manifest.csv``, serves as well (:mod:`train.datasets.manifest_csv`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from mer_edge.errors import MerEdgeError
from train.datasets.manifest_csv import csv_lines
from train.datasets.manifest_line import ManifestLine, sample_of
from train.datasets.registry import DataSet, DatasetOptions, label_names
from train.datasets.sample import Sample

MANIFEST_NAME = "manifest.jsonl"
CSV_NAME = "manifest.csv"


def read_manifest(path: Path, labels: Sequence[str] | None = None) -> list[Sample]:
    """The samples of a manifest, in its order.

    Args:
        path: The file, a table if its name ends in ``.csv``; or the directory that holds it as
            ``manifest.jsonl`` or ``manifest.csv``.
        labels: The names that may appear; by default every name may (see ``label_names``).

    Raises:
        MerEdgeError: there is no such file or both are there, it is empty or not UTF-8, or a line
            of it has not the manifest's form, lacks a field, names an unknown split or label, a
            missing file, or a clip that an earlier line named.
    """
    path = _find(Path(path))
    samples: list[Sample] = []
    first_line: dict[tuple[Path, float | None, float | None, str, str], int] = {}
    for number, line in _lines(path):
        where = f"{path}, line {number}"
        sample = sample_of(line, path.parent, labels, where)
        place = (sample.media, sample.start_s, sample.end_s, sample.frames, sample.sound)
        earlier = first_line.setdefault(place, number)
        if earlier != number:
            raise MerEdgeError(
                f"{where}: {sample.media} is on line {earlier} already; expected each clip once, "
                "or splits could share it; remove one of the lines"
            )
        samples.append(sample)
    if not samples:
        raise MerEdgeError(f"{path}: no sample; expected one {_form(path)} a line")
    return samples


def open_dataset(path: Path, options: DatasetOptions) -> DataSet:
    """A data set of one's own; see :func:`read_manifest`.

    Raises:
        MerEdgeError: as :func:`read_manifest`, or an option that a manifest has no use for.
    """
    if options.split_by or options.frame_rate_hz is not None:
        option = "--split-by" if options.split_by else "--frame-rate"
        raise MerEdgeError(
            f"found {option} for a manifest, whose lines say that themselves; leave it out, or "
            "name the --dataset it is for"
        )
    samples = read_manifest(path)
    return DataSet("manifest", samples, label_names(samples), _leaks(samples))


def _leaks(samples: Sequence[Sample]) -> tuple[str, ...]:
    """A note if a group, such as a speaker, is in several splits."""
    splits: dict[str, set[str]] = {}
    for sample in samples:
        if sample.group:
            splits.setdefault(sample.group, set()).add(sample.split)
    shared = sorted(group for group, where in splits.items() if len(where) > 1)
    if not shared:
        return ()
    return (
        f"{len(shared)} of {len(splits)} groups are in more than one split, the first is "
        f"{shared[0]}: scores on the later splits look better than on strangers",
    )


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
            f"{where}: {error}; expected an object with media (text), text (text or null), "
            "labels (list of text), split (text) and what else docs/datasets.md names"
        ) from error
    except msgspec.DecodeError as error:
        raise MerEdgeError(f"{where}: {error}; expected one JSON object a line") from error
