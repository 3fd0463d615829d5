"""The corpora of the starter model, and who of them trains, calibrates and tests.

The splits are fixed here and nowhere else. By speaker for sound: nobody who is measured on is
heard in training. RAVDESS (Livingstone and Russo 2018) and nEMO (Christop 2024) train; EMO-DB
(Burkhardt et al. 2005), another language, is only tested on.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mer_edge.errors import MerEdgeError

LABELS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
"""The starter model's labels, in its order."""
Split = Literal["train", "calibration", "test"]
Sex = Literal["female", "male"]

RAVDESS_TEST_ACTORS = (1, 2, 11, 12)
RAVDESS_CALIBRATION_ACTORS = (9, 10)
RAVDESS_LABELS = {
    "01": "neutral", "03": "happiness", "04": "sadness", "05": "anger", "06": "fear",
    "07": "disgust", "08": "surprise",
}  # fmt: skip
"""By the emotion's number in a file's name; calm (02) is left out."""
EMODB_MEN = ("03", "10", "11", "12", "15")
"""The other five speakers (08, 09, 13, 14, 16) are women (Burkhardt et al. 2005)."""
_RAVDESS_NAME = re.compile(r"03-01-(0[1-8])-0[12]-0[12]-0[12]-(\d\d)")


@dataclass(frozen=True)
class Recording:
    """One utterance of one speaker, with one emotion."""

    path: Path
    corpus: str
    speaker: str
    """Unique over all corpora: ``ravdess-03``."""
    label: str
    """One of ``LABELS``."""
    split: Split
    sex: Sex | None = None
    """None: the corpus does not say."""


def speech_recordings(data: Path) -> list[Recording]:
    """All of RAVDESS, nEMO and EMO-DB below ``data``, with their splits.

    Raises:
        MerEdgeError: a corpus is missing or not as published, or a speaker is in two splits.
    """
    recordings = [*ravdess(data), *nemo(data), *emodb(data)]
    refuse_overlaps(recordings)
    return recordings


def ravdess(data: Path) -> list[Recording]:
    """``ravdess_audio/03-01-EE-II-SS-RR-AA.flac``: odd actors are men; calm is left out."""
    folder = data / "ravdess_audio"
    recordings = []
    for path in sorted(folder.glob("*.flac")):
        found = _RAVDESS_NAME.fullmatch(path.stem)
        if found is None:
            raise MerEdgeError(
                f"{path}: not a name of RAVDESS speech; expected one such as "
                "03-01-05-01-02-01-14.flac; move the file elsewhere"
            )
        emotion, actor = found[1], int(found[2])
        if emotion not in RAVDESS_LABELS:
            continue
        recordings.append(
            Recording(
                path,
                "ravdess",
                f"ravdess-{actor:02d}",
                RAVDESS_LABELS[emotion],
                _ravdess_split(actor),
                "male" if actor % 2 else "female",
            )
        )
    return _some(recordings, folder, "the files 03-01-*.flac of RAVDESS speech")


def nemo(data: Path) -> list[Recording]:
    """``nemo/meta.tsv``: of the speakers in sorted order the last calibrates, the one before it
    tests, all others train."""
    folder = data / "nemo"
    rows = _rows(folder / "meta.tsv")
    speakers = sorted({row["speaker"] for row in rows})
    if len(speakers) < 3:
        raise MerEdgeError(
            f"{folder / 'meta.tsv'}: {len(speakers)} speakers; expected at least 3, to train, "
            "test and calibrate"
        )
    splits: dict[str, Split] = dict.fromkeys(speakers, "train")
    splits[speakers[-2]], splits[speakers[-1]] = "test", "calibration"
    return _listed(folder, rows, "nemo", splits)


def emodb(data: Path) -> list[Recording]:
    """``emodb/meta.tsv``: everything tests; boredom is left out."""
    folder = data / "emodb"
    rows = [row for row in _rows(folder / "meta.tsv") if row["label"] != "boredom"]
    splits: dict[str, Split] = {row["speaker"]: "test" for row in rows}
    sexes: dict[str, Sex] = {s: "male" if s in EMODB_MEN else "female" for s in splits}
    return _listed(folder, rows, "emodb", splits, sexes)


def of_split(recordings: Iterable[Recording], split: Split, corpus: str = "") -> list[Recording]:
    """Those of one split, of one corpus or (``""``) of all."""
    return [r for r in recordings if r.split == split and corpus in ("", r.corpus)]


def refuse_overlaps(recordings: Sequence[Recording]) -> None:
    """Raise unless every speaker and every file is in exactly one split, and in the fixed one.

    Raises:
        MerEdgeError: the first speaker or file that is not.
    """
    split_of: dict[str, str] = {}
    for recording in recordings:
        for name in (f"the speaker {recording.speaker}", f"the file {recording.path}"):
            if split_of.setdefault(name, recording.split) != recording.split:
                raise MerEdgeError(
                    f"{name} is in both {split_of[name]} and {recording.split}; expected one "
                    "split, or what is measured has been trained on; correct the lists"
                )
        fixed = _fixed_split(recording)
        if fixed is not None and recording.split != fixed:
            raise MerEdgeError(
                f"{recording.path}: {recording.speaker} is in {recording.split}; expected "
                f"{fixed}, where the recipe's splits have this speaker; correct the lists"
            )


def _fixed_split(recording: Recording) -> str | None:
    """The split that follows from the speaker alone; nEMO's follows from the whole list."""
    if recording.corpus == "ravdess":
        return _ravdess_split(int(recording.speaker.removeprefix("ravdess-")))
    return "test" if recording.corpus == "emodb" else None


def _ravdess_split(actor: int) -> Split:
    if actor in RAVDESS_TEST_ACTORS:
        return "test"
    return "calibration" if actor in RAVDESS_CALIBRATION_ACTORS else "train"


def _listed(
    folder: Path,
    rows: list[dict[str, str]],
    corpus: str,
    splits: dict[str, Split],
    sexes: dict[str, Sex] | None = None,
) -> list[Recording]:
    recordings = []
    for row in rows:
        if row["label"] not in LABELS:
            raise MerEdgeError(
                f"{folder / 'meta.tsv'}: the label {row['label']}; expected one of "
                f"{', '.join(LABELS)}"
            )
        path, speaker = folder / "flac" / row["file"], row["speaker"]
        sex = sexes[speaker] if sexes else None
        name = f"{corpus}-{speaker}"
        recordings.append(Recording(path, corpus, name, row["label"], splits[speaker], sex))
    return _some(recordings, folder, "sounds in flac/ and their list meta.tsv")


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise MerEdgeError(f"{path}: no such file; expected the corpus's list of sounds")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    if rows and not {"file", "label", "speaker"} <= set(rows[0]):
        raise MerEdgeError(
            f"{path}: the columns {', '.join(rows[0])}; expected file, label and speaker"
        )
    return rows


def _some(recordings: list[Recording], folder: Path, expected: str) -> list[Recording]:
    if not recordings:
        raise MerEdgeError(f"{folder}: no recordings; expected {expected}")
    return recordings
