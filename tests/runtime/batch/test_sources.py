"""What is one clip, what is a folder of many, and that each file counts once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mer_edge.bundle import Bundle, Manifest, TensorSpec
from mer_edge.clips import ClipOptions
from mer_edge.errors import MerEdgeError
from mer_edge.text.source import TextOptions
from runtime.batch.sources import find_sources, is_job
from tests.grey_detector import Grey

BUNDLE = Path(__file__).parents[2] / "data/tiny-bundle"


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def found(folder: Path, *paths: Path) -> list[str]:
    sources = find_sources(paths or (folder,), ClipOptions()).sources
    return [str(source.path.relative_to(folder)) for source in sources]


def test_a_folder_is_searched_in_natural_order(tmp_path: Path) -> None:
    touch(tmp_path, "a10.mp4", "a2.MP4", "b/c.wav", "b/.hidden.mp4", "notes.txt", "z/y/x.mkv")
    assert found(tmp_path) == ["a2.MP4", "a10.mp4", "b/c.wav", "z/y/x.mkv"]
    assert is_job(tmp_path)
    assert find_sources([tmp_path], ClipOptions()).passed_over == 1


def test_a_directory_of_frames_is_one_clip(tmp_path: Path) -> None:
    frames = touch(tmp_path / "frames", "1.jpg", "2.jpg", "sound.wav", "words.txt")
    assert not is_job(frames)
    assert found(tmp_path, frames) == ["frames"]
    touch(tmp_path, "a.mp4")
    assert is_job(tmp_path)
    assert found(tmp_path) == ["a.mp4", "frames"]


@pytest.mark.parametrize(
    "names", [["cover.jpg", "a.mp4"], ["cover.jpg", "a.wav", "b.wav"], ["cover.jpg", "in/a.mp4"]]
)
def test_a_picture_beside_media_makes_no_frames(tmp_path: Path, names: list[str]) -> None:
    touch(tmp_path, *names)
    assert is_job(tmp_path)
    assert found(tmp_path) == names[1:]
    assert find_sources([tmp_path], ClipOptions()).passed_over == 1


def test_a_file_counts_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    assert found(tmp_path, tmp_path / "b.mp4", tmp_path, tmp_path / "a.mp4") == ["b.mp4", "a.mp4"]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.mp4")
    (tmp_path / "in" / "again").symlink_to(tmp_path)
    assert found(tmp_path) == ["in/a.mp4"]


def test_nothing_there_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt")
    assert not is_job(tmp_path)
    with pytest.raises(MerEdgeError, match=r"found no media file; expected names that end"):
        find_sources([tmp_path], ClipOptions())


def deciding_by(*modalities: str) -> Manifest:
    """A manifest of a bundle that decides by these."""
    manifest = Bundle.load(BUNDLE).manifest
    inputs = [TensorSpec(name, "float32", ["batch"]) for name in modalities]
    return replace(manifest, graphs={"fusion": replace(manifest.graphs["fusion"], inputs=inputs)})


def test_a_line_of_text_alone_is_a_source(tmp_path: Path) -> None:
    manifest = tmp_path / "list.jsonl"
    line = {"text": "Leave me.", "labels": [], "split": "test"}
    manifest.write_text(f"{json.dumps(line)}\n{json.dumps({**line, 'name': 's2'})}\n")
    first, second = find_sources([manifest], ClipOptions()).sources
    assert first.key != second.key
    assert (first.name, second.name) == (f"{manifest}: Leave me.", f"{manifest}: s2")
    (clip,) = first.clips(deciding_by("audio", "text"), Grey())
    assert (clip.text, clip.source, clip.has_audio, clip.has_face) == (
        "Leave me.", first.name, False, False,
    )  # fmt: skip
    with pytest.raises(MerEdgeError, match=r"s2: text alone, and text is not looked at"):
        next(second.clips(deciding_by("audio", "visual"), Grey()))
    (silent,) = find_sources([manifest], ClipOptions(text=TextOptions(no_text=True))).sources[:1]
    with pytest.raises(MerEdgeError, match="text alone, and text is not looked at"):
        next(silent.clips(deciding_by("audio", "visual", "text"), Grey()))


def test_a_manifest_says_text_and_part(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    lines = [
        {"media": "a.mp4", "text": "one", "labels": [], "split": "test", "start": 0, "end": 2},
        {"media": "a.mp4", "text": None, "labels": [], "split": "test", "start": 2, "end": 3},
    ]
    manifest = tmp_path / "list.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert is_job(manifest)
    first, second = find_sources([manifest], ClipOptions(face=2)).sources
    assert (first.options.text.text, first.options.start_s, first.options.end_s) == ("one", 0, 2)
    assert second.options.text.no_text
    assert first.options.face == 2
    assert first.key != second.key
    silent = find_sources([manifest], ClipOptions(text=TextOptions(no_text=True))).sources
    assert silent[0].options.text.text is None
