"""CMU-MOSEI as Dai et al. publish it (see :mod:`train.datasets.dai`): opinions on YouTube.

An utterance has none, one or several of six emotions. An id is its video's and its number in it:
``-3g5yACwYnA_10``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from mer_edge.media.directory import check_frame_rate
from mer_edge.samples.sample import Sample
from train.datasets.dai import read_layout
from train.datasets.layout import refuse_options
from train.datasets.published import Published, differences
from train.datasets.registry import DataSet, DatasetOptions

LABELS = ("anger", "disgust", "fear", "happy", "sad", "surprise")
PUBLISHED: Published = {
    "train": {"clips": 14524}, "valid": {"clips": 1765}, "test": {"clips": 4188},
}  # fmt: skip

_Binary = Annotated[int, msgspec.Meta(ge=0, le=1)]


class Entry(msgspec.Struct):
    """What ``meta.pkl`` says of an utterance."""

    text: str
    label: Annotated[list[_Binary], msgspec.Meta(min_length=6, max_length=6)]
    """Of each of ``LABELS`` whether it shows."""


def open_dataset(path: Path, options: DatasetOptions) -> DataSet:
    """The utterances of the three split files.

    ``frame_rate_hz`` None spreads each utterance's frames evenly over its sound, which is right
    for whatever rate they were stored at: ``meta.pkl`` does not say it, the authors' own script
    stores two a second, and counts them one more or less than the sound has room for.

    Raises:
        MerEdgeError: the layout is another one, or an option is out of its range or of no use.
    """
    refuse_options(options, split_by="whose split files are its one split")
    if options.frame_rate_hz is not None:
        check_frame_rate(options.frame_rate_hz)
    layout = read_layout(Path(path), "MOSEI")
    entries, entry_notes = layout.entries(Entry)
    samples = [
        Sample(
            media=layout.folder(name, Path(name)),
            text=entry.text,
            labels=tuple(label for label, on in zip(LABELS, entry.label, strict=True) if on),
            split=layout.splits[name],
            name=name,
            group=name.rpartition("_")[0],
            frame_rate_hz=options.frame_rate_hz,
            frames="image_*.jpg",
            sound="audio.wav",
        )
        for name, entry in entries.items()
    ]
    notes = (*layout.notes, *entry_notes, *differences(samples, PUBLISHED))
    return DataSet("mosei", samples, LABELS, notes, PUBLISHED)
