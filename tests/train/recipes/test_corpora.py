"""Who trains, who calibrates and who tests: from the recipe's own lists."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from mer_edge.errors import MerEdgeError
from train.recipes.corpora import (
    LABELS,
    emodb,
    nemo,
    of_split,
    ravdess,
    refuse_overlaps,
    speech_recordings,
)


def test_the_splits_are_those_that_were_fixed(corpora: Path) -> None:
    recordings = speech_recordings(corpora)
    speakers = {
        split: sorted({r.speaker for r in of_split(recordings, split)})
        for split in ("train", "calibration", "test")
    }
    assert speakers == {
        "train": ["nemo-AA0", "nemo-BB0", "ravdess-03", "ravdess-04"],
        "calibration": ["nemo-DD0", "ravdess-09", "ravdess-10"],
        "test": [
            "emodb-03",
            "emodb-08",
            "nemo-CC0",
            "ravdess-01",
            "ravdess-02",
            "ravdess-11",
            "ravdess-12",
        ],
    }
    assert not of_split(recordings, "train", "emodb")


def test_labels_and_sexes_are_read(corpora: Path) -> None:
    found = ravdess(corpora)
    assert Counter(r.label for r in found) == dict.fromkeys(LABELS, 8)  # calm is left out
    assert {r.speaker: r.sex for r in found}["ravdess-03"] == "male"
    assert {r.speaker: r.sex for r in found}["ravdess-10"] == "female"
    by_name = {r.path.stem: r.label for r in found}
    assert by_name["03-01-05-01-01-01-04"] == "anger"
    assert by_name["03-01-08-01-01-01-04"] == "surprise"
    assert {(r.speaker, r.sex) for r in emodb(corpora)} == {
        ("emodb-03", "male"),
        ("emodb-08", "female"),
    }
    assert {r.label for r in emodb(corpora)} == {"anger", "fear"}  # boredom is left out
    assert all(r.path.is_file() for r in speech_recordings(corpora))


def test_a_held_out_speaker_in_training_is_refused(corpora: Path) -> None:
    recordings = speech_recordings(corpora)
    refuse_overlaps(recordings)
    tested = next(r for r in recordings if r.speaker == "nemo-CC0")
    with pytest.raises(MerEdgeError, match="the speaker nemo-CC0 is in both"):
        refuse_overlaps([*recordings, replace(tested, path=Path("other"), split="train")])
    copied = replace(tested, speaker="nemo-XX0", split="train")
    with pytest.raises(MerEdgeError, match=r"the file .* is in both"):
        refuse_overlaps([*recordings, copied])


@pytest.mark.parametrize("speaker", ["ravdess-11", "ravdess-09", "emodb-03"])
def test_a_whole_speaker_in_the_wrong_split_is_refused(corpora: Path, speaker: str) -> None:
    moved = [
        replace(r, split="train") if r.speaker == speaker else r for r in speech_recordings(corpora)
    ]
    with pytest.raises(MerEdgeError, match=f"{speaker} is in train; expected"):
        refuse_overlaps(moved)


def test_what_is_missing_or_wrong_is_named(corpora: Path, tmp_path: Path) -> None:
    with pytest.raises(MerEdgeError, match="ravdess_audio: no recordings"):
        ravdess(tmp_path)
    with pytest.raises(MerEdgeError, match=r"meta\.tsv: no such file"):
        nemo(tmp_path)
    shutil.copytree(corpora / "nemo", tmp_path / "nemo")
    list_file = tmp_path / "nemo" / "meta.tsv"
    list_file.write_text(list_file.read_text().replace("neutral\tAA0", "calm\tAA0"))
    with pytest.raises(MerEdgeError, match="the label calm"):
        nemo(tmp_path)
    (tmp_path / "ravdess_audio").mkdir()
    (tmp_path / "ravdess_audio" / "song.flac").write_bytes(b"")
    with pytest.raises(MerEdgeError, match="not a name of RAVDESS speech"):
        ravdess(tmp_path)
