"""IEMOCAP and CMU-MOSEI on folders laid out as Dai et al. publish them."""

import os
import pickle
import wave
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mer_edge.errors import MerEdgeError
from train.datasets import iemocap, mosei
from train.datasets.iemocap import speaker_side
from train.datasets.registry import DataSet, DatasetOptions, open_dataset
from train.prepare import prepare_samples
from train.prepared import read_clip
from train.progress import Silent

Ids = dict[str, list[str]]

IEMOCAP_IDS: Ids = {
    "train": ["Ses01F_script01_1_F000", "Ses02M_impro03_F011", "Ses05F_impro01_M002"],
    "valid": ["Ses04F_script01_1_F024"],
    "test": ["Ses05M_script02_2_M003", "Ses03F_impro02_M010"],
}


def iemocap_entry(label: str = "sad", **fields: object) -> dict[str, object]:
    known = {"start_time": 10.0, "end_time": 12.0, "text": "Well.", "sr": 16000, "fps": 30.0}
    return {**known, "label": label, **fields}


def write_layout(root: Path, name: str, ids: Ids, meta: object) -> Path:
    """The split files, ``meta.pkl``, and no utterance; returns the folder for utterances."""
    raw, splits = root / f"{name}_RAW_PROCESSED", root / f"{name}_SPLIT"
    raw.mkdir(parents=True)
    splits.mkdir()
    for split, names in ids.items():
        (splits / f"{split}_split.txt").write_text("\n".join(names) + "\n")
    (raw / "meta.pkl").write_bytes(pickle.dumps(meta))
    return raw


def write_iemocap(root: Path, **entries: dict[str, object]) -> Path:
    names = [name for names in IEMOCAP_IDS.values() for name in names]
    meta = {name: iemocap_entry() for name in names}
    return write_layout(root, "IEMOCAP", IEMOCAP_IDS, {**meta, **entries})


def write_tone(path: Path, seconds: float, hz: float) -> None:
    samples = np.sin(2 * np.pi * hz * np.arange(round(seconds * 16000)) / 16000) * 20000
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 16000, 0, "NONE", ""))
        out.writeframes(samples.astype("<i2").tobytes())


def write_frames(folder: Path, prefix: str, count: int, gray: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        cv2.imwrite(str(folder / f"{prefix}{number}.jpg"), np.full((64, 64, 3), gray, np.uint8))


def open_iemocap(root: Path, **options: object) -> DataSet:
    return open_dataset(root, DatasetOptions("iemocap", **options))


def open_mosei(root: Path, **options: object) -> DataSet:
    return open_dataset(root, DatasetOptions("mosei", **options))


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("Ses04F_script01_1_F024", "L"),
        ("Ses04F_script01_1_M024", "R"),
        ("Ses01M_impro01_M000", "L"),
        ("Ses01M_impro01_F000", "R"),
    ],
)
def test_the_speaker_sits_where_the_id_says(name: str, side: str) -> None:
    assert speaker_side(name) == side


def test_iemocap_samples_are_those_of_the_split_files(tmp_path: Path) -> None:
    entry = iemocap_entry("fru", text="Excuse me.", fps=29.97)
    raw = write_iemocap(tmp_path, Ses02M_impro03_F011=entry, Ses01F_extra_F000=iemocap_entry("xxx"))
    folder = raw / "Ses02M_impro03" / "Ses02M_impro03_F011"
    folder.mkdir(parents=True)
    data = open_iemocap(tmp_path)
    assert data.labels == ("ang", "exc", "fru", "hap", "neu", "sad")
    listed = [name for names in IEMOCAP_IDS.values() for name in names]
    assert [sample.id for sample in data.samples] == listed
    sample = data.samples[1]
    assert sample.media == folder
    assert (sample.text, sample.labels, sample.split) == ("Excuse me.", ("fru",), "train")
    assert (sample.frames, sample.sound) == ("image_R_*.jpg", "audio_R.wav")
    assert sample.frame_rate_hz == 29.97
    assert sample.group == "Ses02F"
    assert not sample.faces_aligned


def test_the_frame_rate_given_replaces_that_of_meta(tmp_path: Path) -> None:
    write_iemocap(tmp_path)
    data = open_iemocap(tmp_path, frame_rate_hz=2.0)
    assert {sample.frame_rate_hz for sample in data.samples} == {2.0}
    with pytest.raises(MerEdgeError, match="frame rate of 0 Hz"):
        open_iemocap(tmp_path, frame_rate_hz=0.0)


def test_iemocap_by_session_shares_no_speaker_and_the_paper_split_says_it_does(
    tmp_path: Path,
) -> None:
    write_iemocap(tmp_path)
    paper, session = open_iemocap(tmp_path), open_iemocap(tmp_path, split_by="session")
    assert any("speakers and dialogues are in all three" in note for note in paper.notes)
    assert not any("speakers and dialogues" in note for note in session.notes)
    assert [s.split for s in session.samples] == [
        "train", "train", "test", "valid", "test", "train",
    ]  # fmt: skip
    assert session.published == {}
    assert paper.published == iemocap.PUBLISHED
    with pytest.raises(
        MerEdgeError, match=r"--split-by dialogue .* expected one of paper, session"
    ):
        open_iemocap(tmp_path, split_by="dialogue")


def test_the_published_counts_add_up() -> None:
    for counts in iemocap.PUBLISHED.values():
        assert sum(counts[label] for label in iemocap.LABELS) == counts["clips"]
    assert [mosei.PUBLISHED[split]["clips"] for split in mosei.PUBLISHED] == [14524, 1765, 4188]


def test_differences_from_the_published_counts_are_noted(tmp_path: Path) -> None:
    write_iemocap(tmp_path)
    notes = "\n".join(open_iemocap(tmp_path).notes)
    assert "The split train differs from the published one: 3 clips (published: 5162)" in notes
    assert "3 sad (published: 759)" in notes


def test_a_layout_of_the_published_size_is_not_noted(tmp_path: Path) -> None:
    ids: Ids = {}
    meta = {}
    for split, counts in iemocap.PUBLISHED.items():
        labels = [label for label in iemocap.LABELS for _ in range(counts[label])]
        ids[split] = [f"Ses01F_{split}_F{number:04d}" for number in range(len(labels))]
        meta.update({n: iemocap_entry(x) for n, x in zip(ids[split], labels, strict=True)})
    write_layout(tmp_path, "IEMOCAP", ids, meta)
    data = open_iemocap(tmp_path)
    assert len(data.samples) == 5162 + 737 + 1481
    assert len(data.notes) == 1  # the leak


@pytest.mark.parametrize(
    "place",
    [
        "{dialogue}/{name}",
        "{name}",
        "copy/{dialogue}/{name}",
        "{dialogue}/{name}/{name}",
    ],
)
def test_an_utterance_is_found_one_folder_deeper_too(tmp_path: Path, place: str) -> None:
    raw = write_iemocap(tmp_path)
    name = "Ses04F_script01_1_F024"
    folder = raw / place.format(dialogue="Ses04F_script01", name=name)
    folder.mkdir(parents=True)
    found = {sample.id: sample.media for sample in open_iemocap(tmp_path).samples}
    assert found[name] == folder


def test_ids_without_meta_and_of_other_labels_are_noted(tmp_path: Path) -> None:
    ids = {"train": ["Ses01F_a_F0", "Ses01F_a_F1", "Ses01F_a_F2", "Ses01F_a_F3"]}
    ids = {**ids, "valid": ["Ses01F_a_F0"], "test": []}
    meta = {
        "Ses01F_a_F0": iemocap_entry(),
        "Ses01F_a_F1": iemocap_entry("xxx"),
        "Ses01F_a_F2": iemocap_entry(fps="thirty"),
    }
    write_layout(tmp_path, "IEMOCAP", ids, meta)
    data = open_iemocap(tmp_path)
    assert [(sample.id, sample.split) for sample in data.samples] == [("Ses01F_a_F0", "train")]
    notes = "\n".join(data.notes)
    assert "no entry for them: Ses01F_a_F3." in notes
    assert "cannot be used: Ses01F_a_F2 (Ses01F_a_F2: Expected `float`, got `str`" in notes
    assert "of another label: xxx" in notes
    assert "more than once, kept where they come first: Ses01F_a_F0" in notes


def test_frames_of_another_rate_than_meta_says_are_noted(tmp_path: Path) -> None:
    raw = write_iemocap(tmp_path)
    folder = raw / "Ses04F_script01" / "Ses04F_script01_1_F024"
    write_frames(folder, "image_L_", 4, 100)
    (note,) = [note for note in open_iemocap(tmp_path).notes if "--frame-rate" in note]
    assert "fit 2 frames a second, not the 30 assumed" in note
    assert not [n for n in open_iemocap(tmp_path, frame_rate_hz=2.0).notes if "--frame-rate" in n]


def test_iemocap_prepares_the_speakers_side_and_lists_what_is_missing(tmp_path: Path) -> None:
    raw = write_iemocap(tmp_path)
    folder = raw / "Ses01F_script01" / "Ses01F_script01_1_F000"
    write_frames(folder, "image_L_", 4, 100)
    write_frames(folder, "image_R_", 4, 200)
    write_tone(folder / "audio_L.wav", 2.0, 440)
    write_tone(folder / "audio_R.wav", 4.0, 440)
    write_tone(folder / "audio.wav", 6.0, 440)
    samples = open_iemocap(tmp_path, frame_rate_hz=2.0).samples[:2]
    ready, skipped = prepare_samples(samples, tmp_path / "store", 1, 1, Silent())
    assert [item.sample.id for item in ready] == ["Ses01F_script01_1_F000"]
    assert len(read_clip(ready[0].stored).audio_present) == 2  # segments: 2 s, the left sound
    (missing,) = skipped
    assert missing.reason.startswith(str(raw / "Ses02M_impro03" / "Ses02M_impro03_F011"))
    assert "no such file" in missing.reason


def write_mosei(root: Path) -> Path:
    ids = {"train": ["-3g5yACwYnA_10", "-3g5yACwYnA_13"], "valid": ["abc_de_1"], "test": ["x_0"]}
    meta = {
        "-3g5yACwYnA_10": {"text": "Good.", "label": [0, 0, 0, 1, 0, 1]},
        "-3g5yACwYnA_13": {"text": "So so.", "label": [0, 0, 0, 0, 0, 0]},
        "abc_de_1": {"text": "Bad.", "label": [1, 1, 0, 0, 0, 0]},
        "x_0": {"text": "No.", "label": [0, 0, 1]},
        "unused_0": {"text": "No.", "label": [0] * 6},
    }
    return write_layout(root, "MOSEI", ids, meta)


def test_mosei_labels_are_none_one_or_several(tmp_path: Path) -> None:
    raw = write_mosei(tmp_path)
    data = open_mosei(tmp_path)
    assert data.labels == ("anger", "disgust", "fear", "happy", "sad", "surprise")
    assert [(s.id, s.labels, s.split, s.group) for s in data.samples] == [
        ("-3g5yACwYnA_10", ("happy", "surprise"), "train", "-3g5yACwYnA"),
        ("-3g5yACwYnA_13", (), "train", "-3g5yACwYnA"),
        ("abc_de_1", ("anger", "disgust"), "valid", "abc_de"),
    ]
    assert data.samples[0].media == raw / "-3g5yACwYnA_10"
    assert data.samples[0].frame_rate_hz is None
    assert any("x_0: Expected `array` of length >= 6" in note for note in data.notes)
    assert any("2 clips (published: 14524)" in note for note in data.notes)
    assert open_mosei(tmp_path, frame_rate_hz=30.0).samples[0].frame_rate_hz == 30
    with pytest.raises(MerEdgeError, match="--split-by for mosei"):
        open_mosei(tmp_path, split_by="session")


def test_mosei_frames_are_prepared_over_their_sound(tmp_path: Path) -> None:
    folder = write_mosei(tmp_path) / "copy" / "-3g5yACwYnA_10"
    write_frames(folder, "image_", 4, 100)
    write_tone(folder / "audio.wav", 2.0, 440)
    (ready,), skipped = prepare_samples(
        open_mosei(tmp_path).samples[:1], tmp_path / "store", 1, 1, Silent()
    )
    assert ready.sample.media == folder
    assert not skipped


class Hostile:
    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.reduced


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_that_would_run_something_is_refused_and_named(
    tmp_path: Path, protocol: int
) -> None:
    raw = write_mosei(tmp_path)
    harm = tmp_path / "harmed"
    meta = {"-3g5yACwYnA_10": Hostile(os.mkdir, str(harm))}
    (raw / "meta.pkl").write_bytes(pickle.dumps(meta, protocol))
    with pytest.raises(MerEdgeError, match=r"asks for (posix|nt)\.mkdir, which could run code"):
        open_mosei(tmp_path)
    assert not harm.exists()
    (raw / "meta.pkl").write_bytes(pickle.dumps({"a": np.float64(1.0)}, protocol))
    with pytest.raises(MerEdgeError, match=r"asks for numpy\."):
        open_mosei(tmp_path)


def test_a_damaged_pickle_is_one_error(tmp_path: Path) -> None:
    raw = write_mosei(tmp_path)
    whole = (raw / "meta.pkl").read_bytes()
    for data in (b"", whole[:-20], b"not a pickle", b"\x80\x04N."):
        (raw / "meta.pkl").write_bytes(data)
        with pytest.raises(MerEdgeError, match=r"meta\.pkl: (not a whole pickle|found a NoneType)"):
            open_mosei(tmp_path)


def test_a_missing_part_of_the_layout_is_named(tmp_path: Path) -> None:
    with pytest.raises(MerEdgeError, match="found no folder IEMOCAP_RAW_PROCESSED; expected"):
        open_iemocap(tmp_path)
    raw = write_iemocap(tmp_path)
    (raw / "meta.pkl").unlink()
    with pytest.raises(MerEdgeError, match=r"meta\.pkl: no such file; .* put meta\.pkl there"):
        open_iemocap(tmp_path)
    (tmp_path / "IEMOCAP_SPLIT" / "valid_split.txt").unlink()
    with pytest.raises(MerEdgeError, match=r"valid_split\.txt: cannot read it"):
        open_iemocap(tmp_path)
    (tmp_path / "IEMOCAP_SPLIT" / "train_split.txt").write_text("../../etc\n")
    with pytest.raises(MerEdgeError, match="expected the id of an utterance a line"):
        open_iemocap(tmp_path)


def test_meta_of_another_data_set_is_refused(tmp_path: Path) -> None:
    write_layout(tmp_path, "IEMOCAP", IEMOCAP_IDS, {"-3g5yACwYnA_10": {}})
    with pytest.raises(MerEdgeError, match="serves none of the 6 ids of the splits"):
        open_iemocap(tmp_path)
