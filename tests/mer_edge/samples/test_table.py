"""The manifest as a table: the same samples and the same refusals as line by line in JSON."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_edge.errors import MerEdgeError
from mer_edge.samples.manifest import read_manifest
from mer_edge.samples.sample import SPLITS, Sample
from train.datasets.registry import open_dataset

GOOD = "a.mp4,Hello.,happy,train"


def write(folder: Path, *lines: str, heading: str = "media,text,labels,split") -> Path:
    (folder / "a.mp4").touch()
    (folder / "b.mp4").touch()
    path = folder / "manifest.csv"
    path.write_text("\n".join([heading, *lines]) + "\n", encoding="utf-8", newline="")
    return path


def test_reads_the_file_or_its_directory(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD, "", ",,,", 'b.mp4,"Well, ""no"".",sad; fear ,test')
    expected = [
        Sample(tmp_path / "a.mp4", "Hello.", ("happy",), "train"),
        Sample(tmp_path / "b.mp4", 'Well, "no".', ("sad", "fear"), "test"),
    ]
    assert read_manifest(path) == expected
    assert read_manifest(tmp_path) == expected
    assert open_dataset(tmp_path).labels == ("fear", "happy", "sad")


def test_an_empty_cell_of_media_is_text_alone(tmp_path: Path) -> None:
    path = write(
        tmp_path, ",Leave me.,sad,test,", GOOD + ",", heading="media,text,labels,split,end"
    )
    assert read_manifest(path) == [
        Sample(None, "Leave me.", ("sad",), "test"),
        Sample(tmp_path / "a.mp4", "Hello.", ("happy",), "train"),
    ]
    with pytest.raises(MerEdgeError, match="line 2: found end without media"):
        read_manifest(
            write(tmp_path, ",Leave me.,sad,test,2", heading="media,text,labels,split,end")
        )


def test_every_column_reaches_the_sample(tmp_path: Path) -> None:
    heading = "split,labels,text,media,person,start,end,name,group,frame_rate,frames,sound,faces"
    (tmp_path / "frames").mkdir()
    path = write(
        tmp_path,
        "train,,,frames,7,1.5,2,one,Ada,29.97,image_L_*.jpg,audio_L.wav,aligned",
        "train,,,b.mp4,7,,,,,,,,",
        heading=heading,
    )
    assert read_manifest(path) == [
        Sample(
            tmp_path / "frames", None, (), "train", name="one", group="Ada", start_s=1.5, end_s=2.0,
            frame_rate_hz=29.97, frames="image_L_*.jpg", sound="audio_L.wav", faces_aligned=True,
        ),
        Sample(tmp_path / "b.mp4", None, (), "train"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.mp4,Well, no.,sad,train", "line 2: 5 cells; expected 4, .* double quotes"),
        ("a.mp4,Hello.,happy", "line 2: 3 cells; expected 4"),
        ("a.mp4,Hello.,happy,dev", "line 2: unknown split 'dev'; expected one of train"),
        ("c.mp4,Hello.,happy,train", r"line 2: .*c\.mp4 does not exist"),
        (",,happy,train", "line 2: neither media nor text"),
        ("a.mp4,Hello.,happy;,train", "line 2: an empty label"),
        ("a.mp4,Hello.,sad;sad,train", "line 2: a label appears twice"),
        ('a.mp4,"Hello.,happy,train', "line 2: unexpected end of data; expected cells"),
        ('a.mp4,"Hel"lo.,happy,train', "line 2: .* expected after .* double quotes"),
        (f"{GOOD}\n{GOOD}", r"line 3: .*a\.mp4 is on line 2 already"),
        (f'a.mp4,"Two\nlines.",happy,train\n{GOOD}', "line 4: .* is on line 2 already"),
    ],
)
def test_names_the_line_and_what_is_wrong(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(MerEdgeError, match=message) as caught:
        read_manifest(write(tmp_path, line))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("start", '"1,5"', "line 2: start is '1,5'; expected a number with a point"),
        ("start", "nan", "line 2: a clip from nan to None s"),
        ("start", "-1", "line 2: a clip from -1.0 to None s"),
        ("end", "0", "line 2: a clip from None to 0.0 s; expected .* an end behind it"),
        ("end", "nan", "line 2: a clip from None to nan s"),
        ("frame_rate", "0", "line 2: a frame rate of 0.0 Hz; expected more than 0"),
        ("frame_rate", "nan", "line 2: a frame rate of nan Hz"),
        ("faces", "cropped", "line 2: Invalid enum value 'cropped'"),
    ],
)
def test_a_cell_that_cannot_be_is_refused(
    tmp_path: Path, column: str, cell: str, message: str
) -> None:
    path = write(tmp_path, f"{GOOD},{cell}", heading=f"media,text,labels,split,{column}")
    with pytest.raises(MerEdgeError, match=message):
        read_manifest(path)


def test_json_lines_have_the_same_numbers_checked(tmp_path: Path) -> None:
    write(tmp_path, GOOD).unlink()
    line = {"media": "a.mp4", "text": None, "labels": [], "split": "train", "start": 2, "end": 1}
    (tmp_path / "manifest.jsonl").write_text(json.dumps(line))
    with pytest.raises(MerEdgeError, match=r"line 1: a clip from 2\.0 to 1\.0 s"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("heading", "message"),
    [
        ("media;text;labels;split", "found columns separated by semicolons; expected commas; save"),
        ("name\tmedia\ttext\tlabels\tsplit", "found columns separated by tabs; expected commas"),
        ("media;text;label;split", "no column media, text, labels, split; .* separated by commas"),
        ("media,text,label,split", "found no column labels"),
        ("media,text,labels,split,split", "the column 'split' twice"),
    ],
)
def test_a_heading_that_does_not_serve_is_refused(
    tmp_path: Path, heading: str, message: str
) -> None:
    with pytest.raises(MerEdgeError, match=message):
        read_manifest(write(tmp_path, GOOD, heading=heading))


def test_an_empty_table_and_two_manifests_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    with pytest.raises(MerEdgeError, match="no sample; expected one clip a line"):
        read_manifest(tmp_path)
    path.write_bytes(b"media,text,labels,split\na.mp4,caf\xe9,,train\n")
    with pytest.raises(MerEdgeError, match="byte 33 is not UTF-8"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.jsonl").touch()
    with pytest.raises(MerEdgeError, match=r"both manifest\.jsonl and manifest\.csv"):
        read_manifest(tmp_path)


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
lines = st.fixed_dictionaries(
    {
        "text": st.none() | words.filter(bool),
        "labels": st.lists(
            words.map(lambda word: word.replace(";", "").strip()).filter(bool),
            unique=True,
            max_size=3,
        ),
        "split": st.sampled_from(SPLITS),
        "name": words,
        "group": words,
        "start": st.none() | st.floats(0, 10),
        "end": st.none() | st.floats(11, 1e6),
        "frame_rate": st.none() | st.floats(0.1, 1000),
        "faces": st.sampled_from(["detect", "aligned"]),
    }
)


@settings(max_examples=40, deadline=None)
@given(entries=st.lists(lines, min_size=1, max_size=3))
def test_a_table_and_json_lines_give_the_same_samples(
    tmp_path_factory: pytest.TempPathFactory, entries: list[dict[str, object]]
) -> None:
    folder = tmp_path_factory.mktemp("manifest")
    rows = [{"media": f"{number}.mp4", **entry} for number, entry in enumerate(entries)]
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, rows[0])
    writer.writeheader()
    for row in rows:
        (folder / str(row["media"])).touch()
        writer.writerow({**row, "labels": ";".join(row["labels"])})  # type: ignore[arg-type]
    (folder / "manifest.csv").write_text(table.getvalue(), encoding="utf-8", newline="")
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)), newline="")
    samples = read_manifest(folder / "manifest.csv")
    assert samples == read_manifest(folder / "manifest.jsonl")
    assert [sample.labels for sample in samples] == [tuple(row["labels"]) for row in rows]
