"""MELD: utterances of the television series Friends, as their authors distribute them.

S. Poria et al.: MELD: A Multimodal Multi-Party Dataset for Emotion Recognition in Conversations,
ACL 2019. A csv and a folder of ``dia{D}_utt{U}.mp4`` per split.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from mer_edge.errors import MerEdgeError
from mer_edge.samples.sample import Sample
from train.datasets.layout import find_below, refuse_options
from train.datasets.published import Published, differences
from train.datasets.registry import DataSet, DatasetOptions

LABELS = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
"""In the order of the authors' code."""
PUBLISHED: Published = {
    "train": {"clips": 9989, "neutral": 4710, "surprise": 1205, "fear": 268, "sadness": 683,
              "joy": 1743, "disgust": 271, "anger": 1109},
    "valid": {"clips": 1109, "neutral": 470, "surprise": 150, "fear": 40, "sadness": 111,
              "joy": 163, "disgust": 22, "anger": 153},
    "test": {"clips": 2610, "neutral": 1256, "surprise": 281, "fear": 50, "sadness": 208,
             "joy": 402, "disgust": 68, "anger": 345},
}  # fmt: skip
PLACES = {
    "train": ("train_sent_emo.csv", "train_splits"),
    "valid": ("dev_sent_emo.csv", "dev_splits_complete"),
    "test": ("test_sent_emo.csv", "output_repeated_splits_test"),
}
"""Per split its csv and its folder of clips."""
_DEPTH = 2
_COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")


def open_dataset(path: Path, options: DatasetOptions) -> DataSet:
    """The utterances of the csv files; a split without csv or folder is left out with a note.

    Raises:
        MerEdgeError: the training split is not there, a csv is not as distributed, or an option
            is of no use.
    """
    refuse_options(
        options,
        split_by="whose three csv files are its one split",
        frame_rate="whose clips are video files with a rate of their own",
    )
    samples: list[Sample] = []
    notes: list[str] = []
    for split, (csv_name, folder_name) in PLACES.items():
        table = find_below(Path(path), csv_name, _DEPTH)
        clips = find_below(Path(path), folder_name, _DEPTH)
        if table is None or clips is None:
            missing = csv_name if table is None else folder_name
            if split == "train":
                raise MerEdgeError(
                    f"{path}: found no {missing} there or up to {_DEPTH} folders down; expected "
                    f"{csv_name} and the folder {folder_name} of MELD; unpack MELD.Raw.tar.gz and "
                    "the train, dev and test archives in it there"
                )
            notes.append(f"The split {split} is left out: there is no {missing}.")
            continue
        if (clips / folder_name).is_dir():  # unpacked into a folder of its own name
            clips = clips / folder_name
        samples += _read_split(table, clips, split)
    published = {split: PUBLISHED[split] for split in {sample.split for sample in samples}}
    notes += [*_leak_notes(samples), *differences(samples, published)]
    return DataSet("meld", samples, LABELS, tuple(notes), published)


def decode_mixed(data: bytes) -> str:
    """UTF-8 in which some characters were left in Windows' code page 1252.

    Those are single bytes that are not UTF-8, or the same bytes once more encoded as UTF-8.
    """
    return data.decode("utf-8-sig", "surrogateescape").translate(_CP1252)


# Undecodable bytes arrive at 0xDC00 + byte; the control characters 0x80 to 0x9F are in no text.
_CP1252 = {
    code: bytes([code & 0xFF]).decode("cp1252", "replace")
    for code in (*range(0x80, 0xA0), *range(0xDC80, 0xDD00))
}


def _read_split(table: Path, clips: Path, split: str) -> list[Sample]:
    try:
        text = decode_mixed(table.read_bytes())
    except OSError as error:
        raise MerEdgeError(f"{table}: cannot read it: {error.strerror}") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise MerEdgeError(
            f"{table}: found no column {', '.join(missing)}; expected {', '.join(_COLUMNS)} as "
            "MELD is distributed; download it again"
        )
    samples: dict[str, Sample] = {}
    try:
        for row in reader:
            sample = _sample(row, clips, split, f"{table}, line {reader.line_num}")
            if sample.name in samples:
                raise MerEdgeError(
                    f"{table}, line {reader.line_num}: {sample.name} is there already; expected "
                    "each utterance once; download it again"
                )
            samples[sample.name] = sample
    except csv.Error as error:
        raise MerEdgeError(
            f"{table}, line {reader.line_num}: {error}; expected the csv file that MELD has; "
            "download it again"
        ) from error
    return list(samples.values())


def _sample(row: dict[str, str | None], clips: Path, split: str, where: str) -> Sample:
    utterance, speaker, emotion, dialogue, number = ((row[name] or "").strip() for name in _COLUMNS)
    if emotion.lower() not in LABELS or not (dialogue.isdecimal() and number.isdecimal()):
        raise MerEdgeError(
            f"{where}: found the emotion {emotion!r} of dialogue {dialogue!r}, utterance "
            f"{number!r}; expected one of {', '.join(LABELS)} and two numbers; download it again"
        )
    clip = f"dia{int(dialogue)}_utt{int(number)}"
    return Sample(
        media=clips / f"{clip}.mp4",
        text=utterance,
        labels=(emotion.lower(),),
        split=split,
        name=f"{split}_{clip}",  # dialogues are counted anew in each split
        group=speaker,
    )


def _leak_notes(samples: Sequence[Sample]) -> tuple[str, ...]:
    seen = {sample.group for sample in samples if sample.split == "train"}
    test = [sample for sample in samples if sample.split == "test"]
    known = sum(sample.group in seen for sample in test)
    if not known:
        return ()
    return (
        f"{known} of the {len(test)} test clips are of speakers who are also in training: scores "
        "say little of new people.",
    )
