"""CREMA-D on folders of files named as it is distributed."""

import itertools
import wave
from pathlib import Path

import pytest

from mer_edge.errors import MerEdgeError
from train.datasets.crema_d import EMOTIONS, SENTENCES, split_of_actor
from train.datasets.registry import DataSet, DatasetOptions, open_dataset
from train.prepare import prepare_samples
from train.progress import Silent


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def open_crema_d(root: Path, **options: object) -> DataSet:
    return open_dataset(root, DatasetOptions("crema-d", **options))


def test_a_name_says_actor_sentence_and_emotion(tmp_path: Path) -> None:
    touch(tmp_path / "VideoFlash" / "1001_DFA_ANG_XX.flv")
    touch(tmp_path / "VideoFlash" / "1008_IEO_SAD_HI.flv")
    data = open_crema_d(tmp_path)
    assert data.labels == ("anger", "disgust", "fear", "happy", "neutral", "sad")
    first, second = data.samples
    assert first.media == tmp_path / "VideoFlash" / "1001_DFA_ANG_XX.flv"
    assert (first.text, first.labels) == ("Don't forget a jacket.", ("anger",))
    assert (first.split, first.group, first.id) == ("train", "1001", "1001_DFA_ANG_XX")
    assert (second.text, second.labels) == ("It's eleven o'clock.", ("sad",))
    assert (second.split, second.group) == ("valid", "1008")


@pytest.mark.parametrize("folders", [("VideoFlash", "AudioWAV"), ("", ""), ("CREMA-D/V", "A")])
def test_each_take_is_read_once_a_video_before_its_sound(
    tmp_path: Path, folders: tuple[str, str]
) -> None:
    video, sound = (tmp_path / folder for folder in folders)
    touch(video / "1001_DFA_ANG_XX.flv", sound / "1001_DFA_ANG_XX.wav")
    touch(sound / "1001_TIE_FEA_XX.wav", sound / "README.wav", sound / "1001_XXX_FEA_XX.wav")
    data = open_crema_d(tmp_path)
    assert [sample.media for sample in data.samples] == [
        video / "1001_DFA_ANG_XX.flv",
        sound / "1001_TIE_FEA_XX.wav",
    ]
    assert "1 of 2 takes are there as sound alone." in data.notes


def test_no_actor_is_in_two_splits_and_every_take_is_there(tmp_path: Path) -> None:
    takes = itertools.product(range(1001, 1092), ("DFA", "WSI"), EMOTIONS)
    for actor, sentence, emotion in takes:
        (tmp_path / f"{actor}_{sentence}_{emotion}_XX.wav").touch()
    data = open_crema_d(tmp_path)
    assert len(data.samples) == 91 * 2 * 6
    actors = {
        split: {sample.group for sample in data.samples if sample.split == split}
        for split in ("train", "valid", "test")
    }
    assert [len(actors[split]) for split in actors] == [64, 9, 18]
    assert len(set().union(*actors.values())) == 91
    assert {s.labels for s in data.samples} == {(label,) for label in data.labels}


def test_the_split_depends_on_the_actor_alone() -> None:
    splits = [split_of_actor(actor) for actor in range(1001, 1011)]
    assert splits == ["train"] * 7 + ["valid", "test", "test"]
    assert [split_of_actor(actor) for actor in range(1011, 1021)] == splits
    assert len(SENTENCES) == 12


def test_a_folder_without_takes_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "VideoFlash" / "holiday.flv")
    with pytest.raises(MerEdgeError, match=r"no file named like 1001_DFA_ANG_XX\.flv, .* expected"):
        open_crema_d(tmp_path)
    (tmp_path / "VideoFlash" / "1001_DFA_ANG_XX.flv").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    )
    with pytest.raises(MerEdgeError, match=r"a pointer of Git LFS; .* run git lfs pull"):
        open_crema_d(tmp_path)


def test_options_without_a_use_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MerEdgeError, match="found --split-by for crema-d"):
        open_crema_d(tmp_path, split_by="actors")
    with pytest.raises(MerEdgeError, match="found --frame-rate for crema-d"):
        open_crema_d(tmp_path, frame_rate_hz=30.0)


def test_a_take_of_sound_alone_is_prepared(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "1001_DFA_ANG_XX.wav"), "wb") as out:
        out.setparams((1, 2, 16000, 0, "NONE", ""))
        out.writeframes(b"\x00\x10\x00\xf0" * 8000)  # no digital silence
    samples = open_crema_d(tmp_path).samples
    ready, skipped = prepare_samples(samples, tmp_path / "store", 1, 1, Silent())
    assert [item.sample for item in ready] == samples
    assert not skipped
