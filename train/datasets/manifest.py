"""The manifest of a data set: ``manifest.jsonl``, one JSON object a line, one line a clip.

``{"media": "clips/0001.mp4", "text": "...", "labels": ["happy"], "split": "train"}``

``media`` is relative to the manifest (or absolute), ``text`` may be null where nobody wrote down
what is said, ``labels`` may hold none or several names. Optional: ``start`` and ``end`` in seconds
(several lines may then share a file), ``name``, ``group`` (speaker), ``frame_rate`` (Hz),
``frames`` and ``sound`` of a folder of frames, ``faces`` ("detect" or "aligned"). Other fields are
left alone, so that a data set can record more of itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from mer_edge.errors import MerEdgeError
from train.datasets.registry import DataSet, DatasetOptions, label_names
from train.datasets.sample import SPLITS, Sample

MANIFEST_NAME = "manifest.jsonl"


class _Line(msgspec.Struct):
    media: str
    text: str | None
    labels: list[str]
    split: str
    name: str = ""
    group: str = ""
    start: float | None = None
    end: float | None = None
    frame_rate: float | None = None
    frames: str = ""
    sound: str = ""
    faces: Literal["detect", "aligned"] = "detect"


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
    first_line: dict[tuple[Path, float | None, float | None, str, str], int] = {}
    for number, text in enumerate(_read_lines(path), start=1):
        if not text.strip():
            continue
        where = f"{path}, line {number}"
        sample = _sample(_decode(text, where), path.parent, labels, where)
        place = (sample.media, sample.start_s, sample.end_s, sample.frames, sample.sound)
        earlier = first_line.setdefault(place, number)
        if earlier != number:
            raise MerEdgeError(
                f"{where}: {sample.media} is on line {earlier} already; expected each clip once, "
                "or splits could share it; remove one of the lines"
            )
        samples.append(sample)
    if not samples:
        raise MerEdgeError(f"{path}: no sample; expected one JSON object a line")
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
    return DataSet("manifest", samples, label_names(samples))


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
            "labels (list of text), split (text) and what else docs/train.md names"
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
    return Sample(
        media=media,
        text=line.text,
        labels=tuple(line.labels),
        split=line.split,
        name=line.name,
        group=line.group,
        start_s=line.start,
        end_s=line.end,
        frame_rate_hz=line.frame_rate,
        frames=line.frames,
        sound=line.sound,
        faces_aligned=line.faces == "aligned",
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long for the file system, or a folder that may not be entered
        return False
