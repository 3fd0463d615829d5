"""A cluster that FFmpeg leaves out is told; a picture that stands still is not damage."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

import mer_edge
from mer_edge.media.passed_over import PassedOver
from mer_edge.media.scan import scan_media
from tests.media_files import Picture, Voice, write_media

CLUSTER = b"\x1f\x43\xb6\x75"


def noise(number: int, time_s: float, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Frames of some size in bytes."""
    return np.random.default_rng(number).integers(0, 255, (size[1], size[0], 3), np.uint8)


def video(path: Path) -> Path:
    write_media(path, Picture(frames=400, draw=noise), Voice(duration_s=16.0))
    return path


def without_bytes(path: Path, *places: Callable[[bytes], int]) -> Path:
    """The file with one byte lost at each place."""
    content = path.read_bytes()
    for place in sorted((place(content) for place in places), reverse=True):
        content = content[:place] + content[place + 1 :]
    broken = path.with_stem("broken")
    broken.write_bytes(content)
    return broken


def cluster(number: int) -> Callable[[bytes], int]:
    def place(content: bytes) -> int:
        at = -1
        for _ in range(number + 1):
            at = content.index(CLUSTER, at + 1)
        return at

    return place


def test_a_lost_cluster_is_told_with_its_times(tmp_path: Path) -> None:
    whole = video(tmp_path / "whole.mkv")
    assert scan_media(whole).notes == ()
    (note,) = scan_media(without_bytes(whole, cluster(1))).notes
    assert note.startswith("The file is damaged: ")
    assert " MB of it could not be read, and with it the picture from " in note
    size_mb, start_s, end_s = (float(word) for word in note.split() if word[0].isdigit())
    assert size_mb > 0.1
    assert 4.5 < start_s < 5.5
    assert 9.5 < end_s < 10.5


def test_it_is_in_the_notes_of_the_clips(tmp_path: Path) -> None:
    broken = without_bytes(video(tmp_path / "whole.mkv"), cluster(1))
    (clip,) = mer_edge.load_clips(broken)
    assert any(note.startswith("The file is damaged: ") for note in clip.notes)


def test_several_are_one_note(tmp_path: Path) -> None:
    broken = without_bytes(video(tmp_path / "whole.mkv"), cluster(1), cluster(2))
    (note,) = scan_media(broken).notes
    # Two clusters, one behind the other, are one hole.
    assert " in " not in note
    whole = tmp_path / "long.mkv"
    write_media(whole, Picture(frames=650, draw=noise), Voice(duration_s=26.0))
    (note,) = scan_media(without_bytes(whole, cluster(1), cluster(3))).notes
    assert " the picture in 2 places, first from " in note
    assert note.endswith(" s in all.")


@pytest.mark.parametrize("name", ["still.mkv", "still.flv", "still.mp4", "still.webm"])
@pytest.mark.parametrize("voice", [None, Voice(duration_s=16.0)], ids=["silent", "voice"])
def test_a_picture_that_stands_still_is_not_damage(
    name: str, voice: Voice | None, tmp_path: Path
) -> None:
    path = tmp_path / name
    if name.endswith("webm"):
        voice = None  # it has no AAC
    codec = "libvpx" if name.endswith("webm") else "libx264"
    times_s = (0.0, 0.04, 0.08, 5.0, 5.04, 12.0, 15.0)
    write_media(path, Picture(codec=codec, frames=7, times_s=times_s, draw=noise), voice)
    assert scan_media(path).notes == ()


def test_one_frame_is_not_damage(tmp_path: Path) -> None:
    write_media(tmp_path / "one.mkv", Picture(frames=1), Voice(duration_s=9.0))
    assert scan_media(tmp_path / "one.mkv").notes == ()


def test_several_packets_of_one_block_lie_behind_each_other() -> None:
    def told(next_place: int) -> tuple[str, ...]:
        passed = PassedOver(
            SimpleNamespace(format=SimpleNamespace(name="matroska,webm")),
            SimpleNamespace(index=0),
            0.04,
        )
        unit = {"size": 1000, "time_base": Fraction(1, 1000)}
        for number in range(10):  # laced sound
            passed.add(SimpleNamespace(stream_index=1, pos=20, pts=number, **unit))
        passed.add(SimpleNamespace(stream_index=0, pos=10_030, pts=0, **unit))
        for number in range(10):
            passed.add(SimpleNamespace(stream_index=1, pos=11_040, pts=number, **unit))
        passed.add(SimpleNamespace(stream_index=0, pos=next_place, pts=3000, **unit))
        return passed.notes(0.0)

    assert told(21_050) == ()
    assert told(121_050) == (
        "The file is damaged: 0.1 MB of it could not be read, and with it the picture from 0.00 "
        "to 3.00 s.",
    )
