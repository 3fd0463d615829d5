"""Sample: one labelled clip. What every data set yields."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mer_edge.errors import MerEdgeError

SPLITS = ("train", "valid", "test")
ID_CHARACTERS = 40
"""Of a text alone without a name, for lists and messages."""


@dataclass(frozen=True)
class Sample:
    """One labelled clip: a file, a part of one, a folder of frames, or text alone."""

    media: Path | None
    """Absolute, or relative to where the data set's own path is; None: text alone."""
    text: str | None
    """What is said in it; None where nothing is known of it."""
    labels: tuple[str, ...]
    """The emotions it shows; none and several are both possible."""
    split: str
    """One of ``SPLITS``."""
    name: str = ""
    """Its id in the data set; "": the media's stem, or the beginning of a text alone."""
    group: str = ""
    """Its speaker or session, where the data set says."""
    start_s: float | None = None
    """Where it begins in the media; None: at the start."""
    end_s: float | None = None
    """Where it ends; None: at the end."""
    frame_rate_hz: float | None = None
    """Of a folder of frames."""
    frames: str = ""
    """Pattern of the folder's images that belong to it (``image_L_*.jpg``); "": all."""
    sound: str = ""
    """The folder's sound file (``audio_L.wav``); "": the only one."""
    faces_aligned: bool = False
    """Every frame is an aligned face already: scaled, not searched."""

    @property
    def id(self) -> str:
        """What lists and messages call it."""
        if self.name or self.media is not None:
            return self.name or Path(self.media or "").stem
        return textwrap.shorten(self.text or "", ID_CHARACTERS, placeholder="...")

    @property
    def place(self) -> str:
        """Where it comes from, for messages: the path of its media, else its id."""
        return self.id if self.media is None else str(self.media)


def check_labels(samples: Sequence[Sample], labels: Sequence[str]) -> None:
    """Refuse labels that are no list of names, and samples that have others.

    Raises:
        MerEdgeError: a name that is empty or there twice, or a sample's label that is none of them.
    """
    if not all(labels) or len(set(labels)) < len(labels):
        raise MerEdgeError(
            f"found the labels {', '.join(labels)}; expected names, each once; mend --labels"
        )
    for sample in samples:
        for label in sample.labels:
            if label not in labels:
                raise MerEdgeError(
                    f"{sample.id}: unknown label {label!r}; expected one of {', '.join(labels)}"
                )
