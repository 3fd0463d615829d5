"""MELD on a folder laid out as its archives unpack."""

from pathlib import Path

import numpy as np
import pytest

from mer_edge.errors import MerEdgeError
from train.datasets import meld
from train.datasets.encode import write_mp4
from train.datasets.meld import decode_mixed
from train.datasets.registry import DataSet, DatasetOptions, open_dataset
from train.prepare import prepare_samples
from train.progress import Silent

HEADER = (
    "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,"
    "Season,Episode,StartTime,EndTime"
)
TIMES = '8,21,"00:16:16,059","00:16:21,731"'


def row(utterance: str, speaker: str, emotion: str, dialogue: int, number: int) -> str:
    return f'1,"{utterance}",{speaker},{emotion},neutral,{dialogue},{number},{TIMES}'


def write_split(root: Path, split: str, *rows: str, inside: str = "") -> Path:
    """The csv, and the empty folder of clips that is returned."""
    table, clips = meld.PLACES[split]
    (root / inside).mkdir(parents=True, exist_ok=True)
    (root / inside / table).write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    (root / inside / clips).mkdir()
    return root / inside / clips


def write_meld(root: Path) -> Path:
    write_split(root, "valid", row("Hi.", "Joey", "joy", 0, 0))
    write_split(root, "test", row("Hm.", "Rachel", "anger", 0, 0), row("No.", "Bob", "fear", 3, 1))
    return write_split(
        root,
        "train",
        row("You must\u2019ve, had it.", "Rachel", "neutral", 0, 3),
        row("Why?", "Ross", "surprise", 12, 0),
    )


def open_meld(root: Path, **options: object) -> DataSet:
    return open_dataset(root, DatasetOptions("meld", **options))


def test_reads_the_three_splits(tmp_path: Path) -> None:
    clips = write_meld(tmp_path)
    data = open_meld(tmp_path)
    assert data.labels == ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
    assert [(s.id, s.labels, s.split, s.group) for s in data.samples] == [
        ("train_dia0_utt3", ("neutral",), "train", "Rachel"),
        ("train_dia12_utt0", ("surprise",), "train", "Ross"),
        ("valid_dia0_utt0", ("joy",), "valid", "Joey"),
        ("test_dia0_utt0", ("anger",), "test", "Rachel"),
        ("test_dia3_utt1", ("fear",), "test", "Bob"),
    ]
    assert data.samples[0].media == clips / "dia0_utt3.mp4"
    assert data.samples[0].text == "You must\u2019ve, had it."
    assert data.published == meld.PUBLISHED
    assert data.notes[0].startswith("1 of the 2 test clips are of speakers who are also in")
    assert "1 clips (published: 1109)" in "\n".join(data.notes)


def test_the_published_counts_add_up() -> None:
    for counts in meld.PUBLISHED.values():
        assert sum(counts[label] for label in meld.LABELS) == counts["clips"]


@pytest.mark.parametrize("inside", ["train", "MELD.Raw/train"])
def test_folders_may_lie_deeper(tmp_path: Path, inside: str) -> None:
    clips = write_split(tmp_path, "train", row("Hi.", "Joey", "joy", 1, 2), inside=inside)
    inner = clips / "train_splits"
    assert open_meld(tmp_path).samples[0].media == clips / "dia1_utt2.mp4"
    inner.mkdir()
    assert open_meld(tmp_path).samples[0].media == inner / "dia1_utt2.mp4"


def test_a_missing_split_is_noted_but_not_that_of_training(tmp_path: Path) -> None:
    clips = write_meld(tmp_path)
    (tmp_path / "test_sent_emo.csv").unlink()
    (tmp_path / "dev_splits_complete").rmdir()
    data = open_meld(tmp_path)
    assert {sample.split for sample in data.samples} == {"train"} == set(data.published)
    assert data.notes[:2] == (
        "The split valid is left out: there is no dev_splits_complete.",
        "The split test is left out: there is no test_sent_emo.csv.",
    )
    clips.rmdir()
    with pytest.raises(MerEdgeError, match=r"found no train_splits .* unpack MELD\.Raw\.tar\.gz"):
        open_meld(tmp_path)
    with pytest.raises(MerEdgeError, match="found nothing; expected the folder of a data set"):
        open_meld(tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("It\u2019s café".encode(), "It\u2019s café"),
        (b"It\x92s caf\xe9", "It\u2019s café"),
        ("It\x92s café".encode(), "It\u2019s café"),
        (b"\xef\xbb\xbfIt\x92s " + "café".encode(), "It\u2019s café"),
        (b"\x81", "\ufffd"),
    ],
)
def test_code_page_1252_inside_utf_8_is_read(data: bytes, text: str) -> None:
    assert decode_mixed(data) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEADER}\n{row('Hi.', 'Joey', 'bored', 0, 0)}", "line 2: found the emotion 'bored'"),
        (f"{HEADER}\n{row('Hi.', 'Joey', 'joy', 0, 0)}\n" * 2, "line 3: found the emotion"),
        (f"{HEADER}\n" + f"{row('Hi.', 'Joey', 'joy', 0, 0)}\n" * 2, "line 3: train_dia0_utt0 is"),
        ("Utterance,Speaker\nHi.,Joey", "found no column Emotion, Dialogue_ID, Utterance_ID"),
        ("", "found no column Utterance"),
    ],
)
def test_a_csv_of_another_form_is_refused(tmp_path: Path, text: str, message: str) -> None:
    write_meld(tmp_path)
    (tmp_path / "train_sent_emo.csv").write_text(text)
    with pytest.raises(MerEdgeError, match=message):
        open_meld(tmp_path)


def test_options_without_a_use_are_refused(tmp_path: Path) -> None:
    write_meld(tmp_path)
    with pytest.raises(MerEdgeError, match="found --split-by for meld"):
        open_meld(tmp_path, split_by="session")
    with pytest.raises(MerEdgeError, match="found --frame-rate for meld"):
        open_meld(tmp_path, frame_rate_hz=2.0)


def test_clips_are_prepared_and_missing_ones_listed(tmp_path: Path) -> None:
    clips = write_meld(tmp_path)
    frames = [np.full((64, 96, 3), 90, np.uint8)] * 10
    write_mp4(clips / "dia0_utt3.mp4", frames, 10, np.zeros(16000, np.float32))
    samples = open_meld(tmp_path).samples[:2]
    ready, skipped = prepare_samples(samples, tmp_path / "store", 1, 1, Silent())
    assert [item.sample.id for item in ready] == ["train_dia0_utt3"]
    assert ["dia12_utt0.mp4: no such file" in item.reason for item in skipped] == [True]
