"""Damaged time stamps in Matroska and FLV, and files that were joined end to end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mer_edge.media.source import open_media
from tests.media_files import Picture, Voice, number_of, write_media

CLUSTER, TIMESTAMP = b"\x1f\x43\xb6\x75", b"\xe7"
"""Elements of Matroska: RFC 9559, 5.1.3 and 5.1.3.1."""
FLV_AUDIO, FLV_VIDEO = 8, 9


def contents(path: Path, duration_s: float) -> tuple[list[int | None], np.ndarray, tuple[str, ...]]:
    """The frames in the middle of every half second, the sound, and the notes."""
    with open_media(path) as media:
        assert media.duration_s == pytest.approx(duration_s, abs=0.05)
        times_s = np.arange(0.25, duration_s, 0.5)
        shown = [media.frames.picture_at(float(time_s)) for time_s in times_s]
        numbers = [None if picture is None else number_of(picture.pixels) for picture in shown]
        samples = media.sound.read(0, duration_s).samples
        return numbers, samples, media.notes()


def set_cluster_time(path: Path, number: int, time: int) -> None:
    data = bytearray(path.read_bytes())
    starts = [at for at in range(len(data)) if data[at : at + 4] == CLUSTER]
    at = data.index(TIMESTAMP, starts[number], starts[number] + 16)
    size = data[at + 1] & 0x7F
    data[at + 2 : at + 2 + size] = time.to_bytes(size, "big")
    path.write_bytes(data)


def set_flv_time(path: Path, kind: int, number: int, time_ms: int) -> None:
    """Change the time of one tag (Adobe FLV specification 10.1, annex E.4.1)."""
    data = bytearray(path.read_bytes())
    at, tags = 13, []
    while at + 11 < len(data):
        if data[at] == kind:
            tags.append(at)
        at += 11 + int.from_bytes(data[at + 1 : at + 4], "big") + 4
    data[tags[number] + 4 : tags[number] + 7] = time_ms.to_bytes(3, "big")
    path.write_bytes(data)


def matroska(path: Path) -> Path:
    picture = Picture(frames=200, options={"bf": "2"})
    options = {"cluster_time_limit": "1500"}
    return write_media(path, picture, Voice(duration_s=8), options=options)


def flv(path: Path) -> Path:
    voice = Voice("libmp3lame", rate_hz=44_100, duration_s=8)
    return write_media(path, Picture("flv", frames=200), voice)


SUFFIXES = {matroska: "mkv", flv: "flv"}


@pytest.mark.parametrize(
    ("make", "change"),
    [
        (matroska, lambda path: set_cluster_time(path, 3, 0xFFFF)),
        (matroska, lambda path: set_cluster_time(path, 3, 1)),
        (matroska, lambda path: set_cluster_time(path, -1, 0xFFFF)),
        (flv, lambda path: set_flv_time(path, FLV_AUDIO, 40, 900_000)),
        (flv, lambda path: set_flv_time(path, FLV_AUDIO, 40, 0)),
        (flv, lambda path: set_flv_time(path, FLV_AUDIO, -1, 900_000)),
        (flv, lambda path: set_flv_time(path, FLV_VIDEO, 40, 900_000)),
        (flv, lambda path: set_flv_time(path, FLV_VIDEO, 40, 0)),
        (flv, lambda path: set_flv_time(path, FLV_VIDEO, -1, 900_000)),
    ],
)
def test_one_damaged_time(
    tmp_path: Path, make: Callable[[Path], Path], change: Callable[[Path], None]
) -> None:
    path = make(tmp_path / f"a.{SUFFIXES[make]}")
    right_numbers, right_samples, right_notes = contents(path, 8.0)
    change(path)
    numbers, samples, notes = contents(path, 8.0)
    assert right_notes == ()
    assert notes
    assert all("packets have damaged time stamps" in note for note in notes)
    assert numbers == right_numbers
    # Samples are moved by what milliseconds round.
    covered = np.abs(right_samples) > 0.01
    assert np.mean(np.abs(samples[covered]) > 0.01) > 0.99


@pytest.mark.parametrize(
    ("suffix", "picture", "voice"),
    [
        ("ts", "libx264", "aac"),
        ("mpg", "mpeg2video", "mp2"),
        ("mkv", "libx264", "flac"),
        ("ogg", None, "libopus"),
    ],
)
def test_a_file_twice(tmp_path: Path, suffix: str, picture: str | None, voice: str) -> None:
    one = write_media(
        tmp_path / f"one.{suffix}",
        Picture(picture, frames=75) if picture else None,
        Voice(voice, duration_s=3),
    )
    path = tmp_path / f"two.{suffix}"
    path.write_bytes(one.read_bytes() * 2)
    with open_media(one) as media, open_media(path) as joined:
        assert joined.duration_s == pytest.approx(2 * media.duration_s, abs=0.1)
        (note,) = joined.notes()
        assert "a new count once, at 3.0" in note or "a new count once, at 2.9" in note
        assert joined.sound.read(0, joined.duration_s).covered.mean() > 0.98
        if picture:
            first = number_of(media.frames.picture_at(1.0).pixels)
            shown = [joined.frames.picture_at(t) for t in (1.0, 1.0 + joined.duration_s / 2)]
            assert [number_of(s.pixels) for s in shown] == pytest.approx([first, first], abs=1)


def test_parts_of_another_size_and_rate(tmp_path: Path) -> None:
    parts = []
    for number, (size, rate_hz) in enumerate([((160, 120), 48_000), ((320, 180), 44_100)]):
        part = tmp_path / f"{number}.ts"
        voice = Voice(rate_hz=rate_hz, duration_s=3)
        parts.append(write_media(part, Picture(size=size, frames=75), voice).read_bytes())
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(parts))
    with open_media(path) as media:
        assert media.duration_s == pytest.approx(6.07, abs=0.02)
        shown = [media.frames.picture_at(time_s).pixels for time_s in (1.0, 2.9, 3.2, 5.5)]
        sound = media.sound.read(0, 6)
    assert [pixels.shape[:2] for pixels in shown] == [(120, 160)] * 2 + [(180, 320)] * 2
    assert [number_of(pixels) for pixels in shown] == [24, 15, 3, 5]
    assert sound.covered.mean() > 0.98
    # The tone is the same in both: 440 Hz.
    for start in (16_000, 4 * 16_000):
        spectrum = np.abs(np.fft.rfft(sound.samples[start : start + 16_000]))
        assert np.argmax(spectrum) == 440
