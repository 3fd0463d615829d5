"""RAVDESS on folders as its archives unpack, and on its real files where they are."""

from collections import Counter
from pathlib import Path

import pytest

from mer_edge.errors import MerEdgeError
from train.datasets.ravdess import ACTORS, LABELS, fold_splits
from train.datasets.registry import DataSet, DatasetOptions, open_dataset
from train.prepare import prepare_samples
from train.progress import Silent

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "ravdess_audio"


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def open_ravdess(root: Path, **options: object) -> DataSet:
    return open_dataset(root, DatasetOptions("ravdess", **options))


def write_all(root: Path) -> None:
    """An empty file for each of the 1,440 spoken takes."""
    for actor in ACTORS:
        for emotion in range(1, 9):
            for intensity in (1, 2)[: 1 if emotion == 1 else 2]:
                for last in ("01-01", "01-02", "02-01", "02-02"):
                    name = f"03-01-{emotion:02}-{intensity:02}-{last}-{actor:02}.wav"
                    (root / name).touch()


def test_a_name_says_everything(tmp_path: Path) -> None:
    touch(tmp_path / "01-01-06-01-02-01-13.mp4")
    data = open_ravdess(tmp_path)
    assert data.labels == (
        "neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised",
    )  # fmt: skip
    (sample,) = data.samples
    assert (sample.text, sample.labels) == ("Dogs are sitting by the door.", ("fearful",))
    assert (sample.split, sample.group, sample.id) == ("valid", "13", "01-06-01-02-01-13")


def test_each_take_is_read_once_in_the_fullest_form(tmp_path: Path) -> None:
    video = tmp_path / "Video_Speech_Actor_01" / "Actor_01"
    sound = tmp_path / "Audio_Speech_Actors_01-24" / "Actor_01"
    touch(video / "01-01-03-01-01-01-01.mp4", video / "02-01-03-01-01-01-01.mp4")
    touch(sound / "03-01-03-01-01-01-01.wav", sound / "03-01-03-01-01-02-01.wav")
    touch(video / "02-01-03-01-01-02-01.mp4", video / "02-01-04-01-01-01-01.mp4")
    touch(video / "01-02-03-01-01-01-01.mp4")  # a song
    touch(sound / "03-01-03-01-01-01-25.wav", sound / "03-01-09-01-01-01-01.wav")
    touch(sound / "03-01-03-01-01-01-02.txt", sound / ".03-01-03-01-01-01-02.wav")
    data = open_ravdess(tmp_path)
    assert [sample.media.name for sample in data.samples] == [
        "01-01-03-01-01-01-01.mp4",
        "03-01-03-01-01-02-01.wav",
        "02-01-04-01-01-01-01.mp4",
    ]
    assert "1 of 3 takes are there as sound alone." in data.notes
    assert "1 of 3 takes are there as picture alone." in data.notes


def test_the_whole_data_set_has_the_published_counts(tmp_path: Path) -> None:
    write_all(tmp_path)
    data = open_ravdess(tmp_path)
    assert Counter(sample.split for sample in data.samples) == {
        "train": 960, "valid": 240, "test": 240,
    }  # fmt: skip
    assert data.published["test"]["clips"] == 240
    assert data.published["test"]["neutral"] == 16
    assert not [note for note in data.notes if "published" in note]
    (tmp_path / "03-01-05-01-01-01-17.wav").unlink()
    assert (
        "The split test differs from the published one: 239 clips (published: 240), 31 angry "
        "(published: 32)." in open_ravdess(tmp_path).notes
    )
    folds = open_ravdess(tmp_path, split_by="fold-2-of-4")
    assert {s.group for s in folds.samples if s.split == "test"} == {
        "03", "04", "11", "12", "19", "20",
    }  # fmt: skip


@pytest.mark.parametrize("split_by", ["", "actors", "fold-1-of-5", "fold-12-of-12"])
def test_no_actor_is_in_two_splits(tmp_path: Path, split_by: str) -> None:
    touch(*(tmp_path / f"03-01-03-01-0{s}-01-{a:02}.wav" for a in ACTORS for s in (1, 2)))
    samples = open_ravdess(tmp_path, split_by=split_by).samples
    splits: dict[str, set[str]] = {}
    for sample in samples:
        splits.setdefault(sample.group, set()).add(sample.split)
    assert [len(found) for found in splits.values()] == [1] * 24
    women = {sample.split for sample in samples if int(sample.group) % 2 == 0}
    men = {sample.split for sample in samples if int(sample.group) % 2}
    assert women == men == {"train", "valid", "test"}


@pytest.mark.parametrize("folds", range(3, 13))
def test_every_actor_is_tested_on_in_one_fold_and_validates_in_one(folds: int) -> None:
    splits = [fold_splits(fold, folds) for fold in range(1, folds + 1)]
    for actor in ACTORS:
        counts = Counter(split[actor] for split in splits)
        assert counts == Counter(train=folds - 2, valid=1, test=1)


@pytest.mark.parametrize(
    ("split_by", "message"),
    [
        ("session", "expected actors, or fold-K-of-N such as fold-1-of-6"),
        ("fold-1", "expected actors, or fold-K-of-N"),
        ("fold-0-of-5", "3 to 12 folds .* counted from 1"),
        ("fold-6-of-5", "3 to 12 folds"),
        ("fold-1-of-2", "3 to 12 folds"),
        ("fold-1-of-13", "3 to 12 folds"),
    ],
)
def test_a_split_that_cannot_be_is_refused(tmp_path: Path, split_by: str, message: str) -> None:
    touch(tmp_path / "03-01-03-01-01-01-01.wav")
    with pytest.raises(MerEdgeError, match=message):
        open_ravdess(tmp_path, split_by=split_by)


def test_a_folder_without_takes_and_a_frame_rate_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MerEdgeError, match=r"no file named like 01-01-03-02-01-01-07\.mp4"):
        open_ravdess(tmp_path)
    with pytest.raises(MerEdgeError, match="found --frame-rate for ravdess"):
        open_ravdess(tmp_path, frame_rate_hz=30.0)


@pytest.mark.shared
@pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL} is not here")
def test_the_real_files(tmp_path: Path) -> None:
    data = open_ravdess(REAL)
    assert Counter(sample.split for sample in data.samples) == {
        "train": 720, "valid": 240, "test": 240,
    }  # fmt: skip
    counts = Counter(label for sample in data.samples for label in sample.labels)
    assert counts == {label: 80 if label == "neutral" else 160 for label in LABELS}
    ready, skipped = prepare_samples(data.samples[::600], tmp_path, 1, 1, Silent())
    assert len(ready) == 2
    assert not skipped
