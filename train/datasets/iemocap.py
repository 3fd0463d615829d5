"""IEMOCAP as Dai et al. publish it (see :mod:`train.datasets.dai`): dyadic acting, 6 emotions.

Both people of a dialogue are in each folder, left and right; an id says whose utterance it is:
``Ses04F_script01_1_F024`` was recorded with the woman of session 4 wearing the motion capture
(``Ses04F``, she is on the left) and is spoken by her (``F024``).
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from mer_edge.errors import MerEdgeError
from mer_edge.media.directory import check_frame_rate, list_frames
from mer_edge.samples.sample import Sample
from train.datasets.dai import Layout, read_layout
from train.datasets.layout import some_of, split_choice
from train.datasets.published import Published, differences
from train.datasets.registry import DataSet, DatasetOptions

LABELS = ("ang", "exc", "fru", "hap", "neu", "sad")
PUBLISHED: Published = {
    "train": {"clips": 5162, "ang": 757, "exc": 736, "fru": 1298, "hap": 398, "neu": 1214,
              "sad": 759},
    "valid": {"clips": 737, "ang": 112, "exc": 92, "fru": 180, "hap": 62, "neu": 173, "sad": 118},
    "test": {"clips": 1481, "ang": 234, "exc": 213, "fru": 371, "hap": 135, "neu": 321,
             "sad": 207},
}  # fmt: skip
"""Of the split by utterance."""
SPLIT_CHOICES = ("paper", "session")
SPLIT_OF_SESSION = {
    "Ses01": "train", "Ses02": "train", "Ses03": "train", "Ses04": "valid", "Ses05": "test",
}  # fmt: skip
"""Each session has two actors of its own."""
_LEAK = (
    "The published split is by utterance: its speakers and dialogues are in all three splits, "
    "and scores on it say little of new people; --split-by session keeps them apart."
)
_LOOKED_AT = 20
"""Utterances whose frames are counted to check the frame rate."""
_RATE_TOLERANCE = 1.25


class Entry(msgspec.Struct):
    """What ``meta.pkl`` says of an utterance."""

    label: str
    fps: Annotated[float, msgspec.Meta(gt=0, le=1000)]
    """Of its frames."""
    start_time: float
    """In its dialogue, seconds; for checking the frame rate only."""
    end_time: float
    text: str | None = None


def open_dataset(path: Path, options: DatasetOptions) -> DataSet:
    """The utterances of the three split files.

    ``split_by`` "paper" is the published split by utterance, "session" trains on sessions 1 to 3,
    validates on 4 and tests on 5. ``frame_rate_hz`` None takes each utterance's from ``meta.pkl``.

    Raises:
        MerEdgeError: the layout is another one, or an option is out of its range.
    """
    split_by = split_choice(options, SPLIT_CHOICES)
    if options.frame_rate_hz is not None:
        check_frame_rate(options.frame_rate_hz)
    layout = read_layout(Path(path), "IEMOCAP")
    entries, entry_notes = layout.entries(Entry)
    odd = sorted({entry.label for entry in entries.values()} - set(LABELS))
    entries = {name: entry for name, entry in entries.items() if entry.label in LABELS}
    if not entries:
        raise MerEdgeError(
            f"{layout.raw / 'meta.pkl'}: found the labels {some_of(odd)}; expected "
            f"{', '.join(LABELS)}; take the meta.pkl that Dai et al. publish"
        )
    samples = [_sample(layout, name, entry, split_by, options) for name, entry in entries.items()]
    odd_notes = (f"Left out, of another label: {', '.join(odd)}.",) if odd else ()
    published = PUBLISHED if split_by == "paper" else {}
    notes = (
        *((_LEAK,) if split_by == "paper" else ()),
        *layout.notes,
        *entry_notes,
        *odd_notes,
        *differences(samples, published),
        *_rate_notes(samples, entries),
    )
    return DataSet("iemocap", samples, LABELS, notes, published)


def speaker_side(name: str) -> str:
    """``L`` or ``R``: where in the picture, and on which channel, the speaker of an id is.

    >>> speaker_side("Ses04F_script01_1_F024"), speaker_side("Ses04F_script01_1_M024")
    ('L', 'R')
    """
    parts = name.split("_")
    return "L" if parts[0][-1:] == parts[-1][:1] else "R"


def _sample(
    layout: Layout, name: str, entry: Entry, split_by: str, options: DatasetOptions
) -> Sample:
    parts, side = name.split("_"), speaker_side(name)
    session = name[:5]
    if split_by == "session" and session not in SPLIT_OF_SESSION:
        raise MerEdgeError(
            f"found the id {name} in the split files of IEMOCAP; expected Ses01 to Ses05 in front; "
            "leave --split-by session out, or remove the id"
        )
    by_session = SPLIT_OF_SESSION.get(session, "")
    return Sample(
        media=layout.folder(name, Path("_".join(parts[:2]), name)),
        text=entry.text,
        labels=(entry.label,),
        split=by_session if split_by == "session" else layout.splits[name],
        name=name,
        group=session + parts[-1][:1],
        frame_rate_hz=options.frame_rate_hz or entry.fps,
        frames=f"image_{side}_*.jpg",
        sound=f"audio_{side}.wav",
    )


def _rate_notes(samples: Sequence[Sample], entries: Mapping[str, Entry]) -> tuple[str, ...]:
    """A warning where the frames cannot have the rate that is assumed of them.

    Copies differ in it, and with a wrong rate faces and sound run apart without any error.
    """
    ratios, rates_hz = [], []
    for sample in samples[:: max(1, len(samples) // _LOOKED_AT)][:_LOOKED_AT]:
        entry = entries[sample.name]
        assert sample.media is not None  # every utterance has a folder
        duration_s = entry.end_time - entry.start_time
        try:
            frames = len(list_frames(sample.media, sample.frames))
        except (MerEdgeError, OSError):
            continue  # preparing it will say what is wrong
        if sample.frame_rate_hz and duration_s > 0:
            ratios.append(frames / (duration_s * sample.frame_rate_hz))
            rates_hz.append(frames / duration_s)
    if not ratios or 1 / _RATE_TOLERANCE <= statistics.median(ratios) <= _RATE_TOLERANCE:
        return ()
    stored_hz = statistics.median(rates_hz)
    return (
        f"Frames and times of {len(ratios)} utterances fit {stored_hz:.3g} frames a second, not "
        f"the {samples[0].frame_rate_hz:g} assumed: faces would lag the sound; give --frame-rate "
        f"{stored_hz:.3g}.",
    )
