import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_edge.errors import MerEdgeError
from mer_edge.samples.clips import load_sample
from mer_edge.samples.manifest import read_manifest
from mer_edge.samples.sample import SPLITS, Sample
from train.datasets.registry import label_names, open_dataset

GOOD = {"media": "a.mp4", "text": "Hello.", "labels": ["happy"], "split": "train"}
ALONE = {"text": "Leave me.", "labels": ["sad"], "split": "train"}


def write(folder: Path, *lines: object) -> Path:
    """A manifest of objects (as JSON) and raw lines, beside an existing ``a.mp4``."""
    (folder / "a.mp4").touch()
    path = folder / "manifest.jsonl"
    texts = [x if isinstance(x, str) else json.dumps(x, ensure_ascii=False) for x in lines]
    path.write_text("\n".join(texts), encoding="utf-8", newline="")
    return path


def test_reads_the_file_or_its_directory(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    expected = [Sample(tmp_path / "a.mp4", "Hello.", ("happy",), "train")]
    assert read_manifest(path) == expected
    assert read_manifest(tmp_path) == expected


def test_leaves_other_fields_blank_lines_and_a_byte_order_mark_alone(tmp_path: Path) -> None:
    path = write(tmp_path, "\ufeff" + json.dumps({**GOOD, "person": 7}), "", "  ")
    assert len(read_manifest(path)) == 1


def test_text_may_be_unknown_and_labels_none_or_several(tmp_path: Path) -> None:
    (tmp_path / "b.mp4").touch()
    second = {"media": "b.mp4", "text": None, "labels": ["sad", "fear"], "split": "test"}
    samples = read_manifest(write(tmp_path, {**GOOD, "labels": []}, second))
    assert samples[0].labels == ()
    assert samples[1].text is None
    assert samples[1].labels == ("sad", "fear")
    assert label_names(samples) == ("fear", "sad")


def test_a_line_without_media_is_text_alone(tmp_path: Path) -> None:
    longer = {**ALONE, "media": None, "text": "word " * 20, "name": "s7", "group": "Ada"}
    first, again, named, clip = read_manifest(write(tmp_path, ALONE, ALONE, longer, GOOD))
    assert first == again == Sample(None, "Leave me.", ("sad",), "train")  # may be said twice
    assert (first.id, first.place) == ("Leave me.", "Leave me.")
    assert (named.media, named.id, named.group) == (None, "s7", "Ada")
    assert len(Sample(None, "word " * 20, (), "test").id) <= 40
    assert clip.place == str(tmp_path / "a.mp4")
    made = load_sample(first)
    assert (made.text, made.segments, made.has_audio, made.has_face) == (
        "Leave me.",
        1,
        *[False] * 2,
    )


def test_texts_alone_are_counted_and_told_where_splits_share_them(tmp_path: Path) -> None:
    write(tmp_path, GOOD, ALONE, {**ALONE, "split": "test"}, {**ALONE, "text": "Well."})
    counted, shared = open_dataset(tmp_path).notes
    assert counted == "3 of 4 samples are text alone, without media"
    assert shared.startswith("1 of 2 different texts alone are in more than one split:")


def test_media_may_be_outside_the_directory(tmp_path: Path) -> None:
    inside = tmp_path / "set"
    inside.mkdir()
    (tmp_path / "far.mp4").touch()
    absolute = str(tmp_path / "far.mp4")
    for media in ("../far.mp4", absolute):
        (sample,) = read_manifest(write(inside, {**GOOD, "media": media}))
        assert sample.media.resolve() == tmp_path.resolve() / "far.mp4"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{not json", "line 2: JSON is malformed"),
        ('["a.mp4"]', "line 2: Expected `object`, got `array`"),
        ({k: v for k, v in GOOD.items() if k != "split"}, "missing required field `split`"),
        ({**GOOD, "labels": "happy"}, r"Expected `array`, got `str` - at `\$.labels`"),
        ({**GOOD, "text": 3}, r"Expected `str \| null`, got `int` - at `\$.text`"),
        ({**GOOD, "media": "b.mp4", "split": "dev"}, "unknown split 'dev'; expected one of train"),
        ({**GOOD, "media": "missing.mp4"}, "missing.mp4 does not exist"),
        ({**GOOD, "media": "long" * 1000}, "does not exist"),
        ({**GOOD, "media": "nul\0.mp4"}, "does not exist"),
        ({**GOOD, "media": ""}, "does not exist"),
        ({**GOOD, "labels": ["joy"]}, "unknown label 'joy'; expected one of happy, sad"),
        ({**GOOD, "labels": [" "]}, "unknown label ' '"),
        ({**GOOD, "labels": ["happy", "happy"]}, "a label appears twice"),
        ({**GOOD, "split": "test"}, "is on line 1 already"),
        ({**ALONE, "text": None}, "neither media nor text"),
        ({**ALONE, "text": " "}, "neither media nor text"),
        ({**ALONE, "start": 0.5}, "found start without media; expected the media it is for"),
        ({**ALONE, "faces": "aligned"}, "found faces without media"),
    ],
)
def test_names_the_line_and_what_is_wrong(tmp_path: Path, line: object, message: str) -> None:
    with pytest.raises(MerEdgeError, match=message) as caught:
        read_manifest(write(tmp_path, GOOD, line), labels=("happy", "sad"))
    assert "line 2" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_label_is_refused_where_any_name_may_appear(tmp_path: Path) -> None:
    with pytest.raises(MerEdgeError, match="line 1: an empty label"):
        read_manifest(write(tmp_path, {**GOOD, "labels": [""]}))


def test_says_what_is_missing_or_empty(tmp_path: Path) -> None:
    with pytest.raises(MerEdgeError, match=r"manifest\.jsonl: no such file"):
        read_manifest(tmp_path)
    with pytest.raises(MerEdgeError, match="no sample"):
        read_manifest(write(tmp_path, ""))
    (tmp_path / "manifest.jsonl").write_bytes(b'{"media": "caf\xe9"}')
    with pytest.raises(MerEdgeError, match="byte 14 is not UTF-8"):
        read_manifest(tmp_path)


def test_a_data_set_without_labels_has_no_classes() -> None:
    with pytest.raises(MerEdgeError, match="no label at all"):
        label_names([Sample(Path("a"), None, (), "train")])


@settings(max_examples=25, deadline=None)
@given(
    text=st.none() | st.text(),
    labels=st.lists(st.text(min_size=1).filter(str.strip), unique=True, max_size=4),
    split=st.sampled_from(SPLITS),
)
def test_returns_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, text: str | None, labels: list[str], split: str
) -> None:
    folder = tmp_path_factory.mktemp("manifest")
    line = {"media": "a.mp4", "text": text, "labels": labels, "split": split}
    (sample,) = read_manifest(write(folder, line, "\r"))
    assert (sample.text, sample.labels, sample.split) == (text, tuple(labels), split)


def test_a_speaker_in_two_splits_is_told(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.mp4").touch()
    lines = [
        {"media": f"{name}.mp4", "text": None, "labels": ["sad"], "split": split, "group": group}
        for name, split, group in (("a", "train", "x"), ("b", "train", "y"), ("c", "test", "x"))
    ]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (note,) = open_dataset(tmp_path).notes
    assert note.startswith("1 of 2 groups are in more than one split, the first is x:")
