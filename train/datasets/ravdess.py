"""RAVDESS: 24 actors speak two sentences in 8 emotions; the file names say which.

S. R. Livingstone, F. A. Russo: The Ryerson Audio-Visual Database of Emotional Speech and Song,
PLoS ONE 2018. ``MM-CC-EE-II-SS-RR-AA``: modality, vocal channel, emotion, intensity, sentence,
repetition, actor (odd: a man, even: a woman). Songs are left out; intensity is not used.
"""

from __future__ import annotations

import re
from pathlib import Path

from mer_edge.errors import MerEdgeError
from mer_edge.samples.sample import SPLITS, Sample
from train.datasets.layout import files_below, refuse_options
from train.datasets.published import Published, differences
from train.datasets.registry import DataSet, DatasetOptions

LABELS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
"""In the order of their numbers, 01 to 08."""
SENTENCES = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}
ACTORS = range(1, 25)
ACTORS_OF_SPLIT = {
    "train": (*range(1, 13), *range(21, 25)), "valid": range(13, 17), "test": range(17, 21),
}  # fmt: skip
"""16, 4 and 4, as many women as men in each."""
TAKES_OF_ACTOR = {"clips": 60, **dict.fromkeys(LABELS, 8), "neutral": 4}
"""Published per actor: two sentences, two repetitions, two intensities (neutral has one)."""
MODALITIES = ("01", "03", "02")
"""Both, sound alone, picture alone: of the files of a take the first of these is read."""
FEWEST_FOLDS, MOST_FOLDS = 3, 12
_SUFFIXES = {
    "01": (".mp4", ".mkv", ".mov", ".avi", ".webm"),
    "02": (".mp4", ".mkv", ".mov", ".avi", ".webm"),
    "03": (".wav", ".flac", ".mp3", ".m4a", ".ogg"),
}
_NAME = re.compile(
    r"(?P<modality>0[123])-(?P<take>01-(?P<emotion>0[1-8])-0[12]-(?P<sentence>0[12])-0[12]"
    r"-(?P<actor>0[1-9]|1\d|2[0-4]))"
)
_FOLD = re.compile(r"fold-(\d{1,3})-of-(\d{1,3})", re.ASCII)
_DEPTH = 3


def open_dataset(path: Path, options: DatasetOptions) -> DataSet:
    """Every spoken take once, split by actors.

    ``split_by`` "actors" is ``ACTORS_OF_SPLIT``; "fold-K-of-N" see :func:`fold_splits`.

    Raises:
        MerEdgeError: there is no file of such a name, or an option is of no use.
    """
    refuse_options(options, frame_rate="whose clips are media files with a rate of their own")
    splits = _splits(options.split_by)
    takes = _find_takes(Path(path))
    if not takes:
        raise MerEdgeError(
            f"{path}: found no file named like 01-01-03-02-01-01-07.mp4, nor up to {_DEPTH} "
            "folders down; expected speech of RAVDESS, unpacked; name the folder that its "
            "Actor_01 to Actor_24, or the folders around them, are in"
        )
    samples = [_sample(name, file, splits) for name, (_, file) in sorted(takes.items())]
    actors = {split: sum(s == split for s in splits.values()) for split in SPLITS}
    published: Published = {
        split: {name: count * actors[split] for name, count in TAKES_OF_ACTOR.items()}
        for split in SPLITS
    }
    notes = (
        "The two sentences are the same in every emotion: the text says nothing of the label.",
        *_modality_notes([rank for rank, _ in takes.values()]),
        *differences(samples, published),
    )
    return DataSet("ravdess", samples, LABELS, notes, published)


def fold_splits(fold: int, folds: int) -> dict[int, str]:
    """The split of each actor in one fold of a cross-validation.

    The twelve pairs of a man and a woman (01 and 02, 03 and 04, ...) are dealt in turn to the
    folds, whichever of them are there; fold ``fold`` is tested on, the next one (after the last
    the first) validates, all others train.

    >>> [split for split in fold_splits(1, 12).values() if split != "train"]
    ['test', 'test', 'valid', 'valid']
    """
    following = fold % folds + 1
    dealt = {actor: (actor - 1) // 2 % folds + 1 for actor in ACTORS}
    names = {fold: "test", following: "valid"}
    return {actor: names.get(number, "train") for actor, number in dealt.items()}


def _splits(split_by: str) -> dict[int, str]:
    if split_by in ("", "actors"):
        return {actor: split for split, actors in ACTORS_OF_SPLIT.items() for actor in actors}
    found = _FOLD.fullmatch(split_by)
    if found is None:
        raise MerEdgeError(
            f"found --split-by {split_by} for ravdess; expected actors, or fold-K-of-N such as "
            "fold-1-of-6"
        )
    fold, folds = int(found[1]), int(found[2])
    if not (FEWEST_FOLDS <= folds <= MOST_FOLDS and 1 <= fold <= folds):
        raise MerEdgeError(
            f"found --split-by {split_by} for ravdess; expected {FEWEST_FOLDS} to {MOST_FOLDS} "
            f"folds (there are {MOST_FOLDS} pairs of actors), counted from 1"
        )
    return fold_splits(fold, folds)


def _find_takes(path: Path) -> dict[str, tuple[tuple[int, int], Path]]:
    """Per take the file to read, and how far it is from the one wished for (modality, suffix)."""
    takes: dict[str, tuple[tuple[int, int], Path]] = {}
    for file in files_below(path, _DEPTH):
        found = _NAME.fullmatch(file.stem)
        if found is None or file.suffix.lower() not in _SUFFIXES[found["modality"]]:
            continue
        suffixes = _SUFFIXES[found["modality"]]
        rank = MODALITIES.index(found["modality"]), suffixes.index(file.suffix.lower())
        if found["take"] not in takes or rank < takes[found["take"]][0]:
            takes[found["take"]] = rank, file
    return takes


def _sample(name: str, file: Path, splits: dict[int, str]) -> Sample:
    _, emotion, _, sentence, _, actor = name.split("-")
    return Sample(
        media=file,
        text=SENTENCES[sentence],
        labels=(LABELS[int(emotion) - 1],),
        split=splits[int(actor)],
        name=name,
        group=actor,
    )


def _modality_notes(ranks: list[tuple[int, int]]) -> list[str]:
    lacking = {"03": "as sound alone", "02": "as picture alone"}
    counts = {
        words: sum(MODALITIES[rank] == number for rank, _ in ranks)
        for number, words in lacking.items()
    }
    return [
        f"{count} of {len(ranks)} takes are there {words}."
        for words, count in counts.items()
        if count
    ]
