"""What one line of a manifest may say, whichever form the manifest has, and what it must not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from mer_edge.errors import MerEdgeError
from mer_edge.samples.sample import SPLITS, Sample

_MOST_FRAMES_HZ = 1000.0


class ManifestLine(msgspec.Struct):
    """The fields of a line; those without a default must be there."""

    text: str | None
    labels: list[str]
    split: str
    media: str | None = None
    name: str = ""
    group: str = ""
    start: float | None = None
    end: float | None = None
    frame_rate: float | None = None
    frames: str = ""
    sound: str = ""
    faces: Literal["detect", "aligned"] = "detect"


MEDIA_FIELDS = ("start", "end", "frame_rate", "frames", "sound", "faces")
"""Those that say something of the media."""
_NO_MEDIA = ManifestLine(None, [], "")


def sample_of(
    line: ManifestLine, folder: Path, allowed: Sequence[str] | None, where: str
) -> Sample:
    """The sample that a line names.

    Args:
        folder: That ``media`` is relative to.
        allowed: The labels that may appear; None allows every one.
        where: File and line, for messages.

    Raises:
        MerEdgeError: an unknown split or label, a time or rate that cannot be, a missing file,
            neither media nor text, or fields of media without media.
    """
    _check_labels(line, allowed, where)
    _check_numbers(line, where)
    return Sample(
        media=_media(line, folder, where),
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


def _media(line: ManifestLine, folder: Path, where: str) -> Path | None:
    if line.media is None:
        _check_text_alone(line, where)
        return None
    media = folder / line.media
    if not line.media or not _exists(media):
        raise MerEdgeError(
            f"{where}: {media} does not exist; expected the clip there, or its path relative to "
            "the manifest"
        )
    return media


def _check_text_alone(line: ManifestLine, where: str) -> None:
    if line.text is None or not line.text.strip():
        raise MerEdgeError(
            f"{where}: neither media nor text; expected the path of a clip, or the words of a "
            "sample of text alone"
        )
    for name in MEDIA_FIELDS:
        if getattr(line, name) != getattr(_NO_MEDIA, name):
            raise MerEdgeError(
                f"{where}: found {name} without media; expected the media it is for, or a line of "
                "text alone without it"
            )


def _check_labels(line: ManifestLine, allowed: Sequence[str] | None, where: str) -> None:
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


def _check_numbers(line: ManifestLine, where: str) -> None:
    start_s, end_s = line.start or 0.0, line.end
    if not (math.isfinite(start_s) and start_s >= 0 and (end_s is None or start_s < end_s)):
        raise MerEdgeError(
            f"{where}: a clip from {line.start} to {line.end} s; expected a start of 0 or more and "
            "an end behind it"
        )
    if line.frame_rate is not None and not 0 < line.frame_rate <= _MOST_FRAMES_HZ:
        raise MerEdgeError(
            f"{where}: a frame rate of {line.frame_rate} Hz; expected more than 0 and at most "
            f"{_MOST_FRAMES_HZ:g}"
        )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long for the file system, or that cannot be one
        return False
