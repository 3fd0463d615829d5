"""CREMA-D: 91 actors speak 12 sentences in 6 emotions; the file names say which.

H. Cao et al.: CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset, IEEE Transactions on
Affective Computing 2014. ``1001_DFA_ANG_XX.flv`` is actor 1001, sentence DFA, anger at unspecified
intensity. The label is the emotion that was acted; the intensity is not used.
"""

from __future__ import annotations

import re
from pathlib import Path

from mer_edge.errors import MerEdgeError
from mer_edge.samples.sample import Sample
from train.datasets.layout import files_below, refuse_lfs_pointer, refuse_options
from train.datasets.registry import DataSet, DatasetOptions

EMOTIONS = {
    "ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad",
}  # fmt: skip
SENTENCES = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}
SUFFIXES = (".mp4", ".flv", ".wav")
"""Of the files of a take the first of these is read: a video before its sound alone."""
_NAME = re.compile(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_[A-Z]{1,2}")
_DEPTH = 2
_TRAIN_OF_TEN, _VALID_OF_TEN = 7, 1
_FIRST_ACTOR = 1001


def open_dataset(path: Path, options: DatasetOptions) -> DataSet:
    """Every take once, split by actors (:func:`split_of_actor`).

    Raises:
        MerEdgeError: there is no file of such a name, only pointers to them, or an option is of
            no use.
    """
    refuse_options(
        options,
        split_by="which is split in one way, by actors",
        frame_rate="whose clips are video files with a rate of their own",
    )
    takes = _find_takes(Path(path))
    if not takes:
        raise MerEdgeError(
            f"{path}: found no file named like 1001_DFA_ANG_XX.flv, nor up to {_DEPTH} folders "
            "down; expected CREMA-D's VideoFlash or AudioWAV; name the folder that they are in"
        )
    refuse_lfs_pointer(next(iter(takes.values())))
    samples = [_sample(take) for _, take in sorted(takes.items())]
    heard_only = sum(sample.place.lower().endswith(".wav") for sample in samples)
    notes = (
        "The sentences are the same in every emotion: the text says nothing of the label.",
        *((f"{heard_only} of {len(samples)} takes are there as sound alone.",) * bool(heard_only)),
    )
    return DataSet("crema-d", samples, tuple(EMOTIONS.values()), notes)


def split_of_actor(actor: int) -> str:
    """Of every ten actors in a row seven are for training, the eighth for validation, two to test.

    >>> [split_of_actor(actor) for actor in (1001, 1007, 1008, 1009, 1010, 1011)]
    ['train', 'train', 'valid', 'test', 'test', 'train']
    """
    place = (actor - _FIRST_ACTOR) % 10
    if place < _TRAIN_OF_TEN:
        return "train"
    return "valid" if place < _TRAIN_OF_TEN + _VALID_OF_TEN else "test"


def _find_takes(path: Path) -> dict[str, Path]:
    """Per take the file to read."""
    takes: dict[str, Path] = {}
    for file in files_below(path, _DEPTH):
        found = _NAME.fullmatch(file.stem)
        if found is None or file.suffix.lower() not in SUFFIXES:
            continue
        if found[2] not in SENTENCES or found[3] not in EMOTIONS:
            continue
        known = takes.setdefault(file.stem, file)
        if SUFFIXES.index(file.suffix.lower()) < SUFFIXES.index(known.suffix.lower()):
            takes[file.stem] = file
    return takes


def _sample(take: Path) -> Sample:
    actor, sentence, emotion, _ = take.stem.split("_")
    return Sample(
        media=take,
        text=SENTENCES[sentence],
        labels=(EMOTIONS[emotion],),
        split=split_of_actor(int(actor)),
        name=take.stem,
        group=actor,
    )
