"""Directories of frames: order, rate, size, orientation, the sound inside."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from mer_edge.errors import MerEdgeError
from mer_edge.media.directory import natural_key
from mer_edge.media.source import open_media
from tests.media_files import Picture, Voice, level_of, number_of, quadrants, write_media


def write_frames(
    folder: Path, count: int, suffix: str = ".png", name: str = "frame_{}", size=(64, 48)
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        pixels = np.full((size[1], size[0], 3), level_of(i), np.uint8)
        assert cv2.imwrite(str(folder / f"{name.format(i)}{suffix}"), pixels)
    return folder


def numbers_at(
    folder: Path, times_s: list[float], rate_hz: float | None = None
) -> list[int | None]:
    with open_media(folder, rate_hz) as media:
        assert media.frames is not None
        pictures = [media.frames.picture_at(time_s) for time_s in times_s]
    return [None if picture is None else number_of(picture.pixels) for picture in pictures]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG", ".webp", ".bmp"])
def test_frames_are_in_natural_order(tmp_path, suffix):
    folder = write_frames(tmp_path / "f", 12, suffix)
    assert numbers_at(folder, [(i + 0.5) / 4 for i in range(12)], 4.0) == list(range(12))


def test_natural_order():
    names = ["b1", "a10", "a9", "a09x", "A2", "a", "10", "9"]
    assert sorted(names, key=natural_key) == ["9", "10", "a", "A2", "a9", "a09x", "a10", "b1"]


def test_the_given_rate(tmp_path):
    folder = write_frames(tmp_path / "f", 10)
    assert numbers_at(folder, [0.0, 0.099, 0.1, 0.3, 0.95, 1.0], 10.0) == [0, 0, 1, 3, 9, None]
    with open_media(folder, 2.0) as media:
        assert media.duration_s == 5.0
        assert media.notes() == ()


def test_without_a_rate_frames_are_spread_over_the_sound(tmp_path):
    folder = write_frames(tmp_path / "f", 8)
    write_media(folder / "voice.wav", None, Voice("pcm_s16le", duration_s=4.0))
    assert numbers_at(folder, [0.25, 0.75, 3.99]) == [0, 1, 7]
    with open_media(folder) as media:
        assert media.duration_s == 4.0
        assert media.notes() == ("The 8 frames are spread over the sound: 2 Hz.",)
        assert media.sound is not None
        assert media.sound.read(0, 4).covered.all()


def test_a_given_rate_is_kept_beside_sound(tmp_path):
    folder = write_frames(tmp_path / "f", 8)
    write_media(folder / "voice.flac", None, Voice("flac", duration_s=4.0))
    with open_media(folder, 1.0) as media:
        assert media.duration_s == 8.0
    with open_media(folder, 8.0) as media:
        assert media.duration_s == 4.0


def test_without_rate_and_sound_it_is_25_hz(tmp_path):
    with open_media(write_frames(tmp_path / "f", 50)) as media:
        assert media.duration_s == 2.0
        assert media.notes() == ("The frame rate is not known; 25 Hz was assumed.",)


def exif_oriented(jpeg: bytes, orientation: int) -> bytes:
    tiff = b"II*\x00\x08\x00\x00\x00" + struct.pack("<HHHII", 1, 0x0112, 3, 1, orientation)
    body = b"Exif\x00\x00" + tiff + b"\x00\x00\x00\x00"
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 1), (8, 3)])
def test_the_exif_orientation_is_applied(tmp_path, orientation, turns):
    """Orientation 6 says: turn a quarter clockwise; the file holds it turned back."""
    upright = quadrants(0, 0.0, (64, 48))
    stored = np.rot90(upright, turns)
    ok, jpeg = cv2.imencode(".jpg", cv2.cvtColor(stored, cv2.COLOR_RGB2BGR))
    assert ok
    (tmp_path / "1.jpg").write_bytes(exif_oriented(jpeg.tobytes(), orientation))
    with open_media(tmp_path) as media:
        assert media.frames is not None
        picture = media.frames.picture_at(0.0)
    assert picture is not None
    assert picture.pixels.shape == (48, 64, 3)
    assert np.abs(picture.pixels.astype(int) - upright).mean() < 6


def test_hidden_and_other_files_do_not_count(tmp_path):
    folder = write_frames(tmp_path / "f", 3)
    (folder / "._frame_0.png").write_bytes(b"not an image")
    (folder / "notes.md").write_text("text")
    (folder / "more.png").mkdir()
    assert numbers_at(folder, [0.0, 0.05, 0.09, 0.13]) == [0, 1, 2, None]


def error_of(folder: Path, rate_hz: float | None = None, time_s: float = 0.0) -> str:
    with pytest.raises(MerEdgeError) as caught, open_media(folder, rate_hz) as media:
        assert media.frames is not None
        media.frames.picture_at(0.0)
        media.frames.picture_at(time_s)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_no_image(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    assert "directory without images" in error_of(tmp_path)


def test_images_of_different_sizes(tmp_path):
    write_frames(tmp_path, 2)
    write_frames(tmp_path, 1, name="z{}", size=(80, 48))
    message = error_of(tmp_path, time_s=0.09)
    assert "z0.png: found an image of 80 x 48 pixels beside frame_0.png of 64 x 48" in message


def test_an_image_that_is_none(tmp_path):
    write_frames(tmp_path, 2)
    (tmp_path / "frame_1.png").write_bytes(b"\x89PNG nothing")
    assert "frame_1.png: found 12 bytes that are not an image" in error_of(tmp_path, time_s=0.05)
    (tmp_path / "frame_0.png").write_bytes(b"")
    assert "frame_0.png: found 0 bytes" in error_of(tmp_path)


def test_images_smaller_than_a_face(tmp_path):
    assert "image of 8 x 8 pixels" in error_of(write_frames(tmp_path, 1, size=(8, 8)))


def test_an_image_that_declares_a_size_beyond_memory(tmp_path):
    def chunk(kind, data):
        tail = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + tail

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    image = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "0.png").write_bytes(image)
    assert "0.png: found an image whose size OpenCV does not read" in error_of(tmp_path)


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def changed(data: bytes) -> bytes:
    return data[:-20] + bytes([data[-20] ^ 1]) + data[-19:]


@pytest.mark.parametrize("damage", [cut, changed])
def test_a_damaged_png_is_told_once(tmp_path, capfd, damage):
    image = write_frames(tmp_path, 1) / "frame_0.png"
    image.write_bytes(damage(image.read_bytes()))
    assert "bytes that are not an image" in error_of(tmp_path)
    assert capfd.readouterr() == ("", "")


def test_two_sounds(tmp_path):
    write_frames(tmp_path, 1)
    for name in ("a.wav", "b.wav"):
        write_media(tmp_path / name, None, Voice("pcm_s16le"))
    assert "found 2 sound files (a.wav, b.wav)" in error_of(tmp_path)


def test_a_video_instead_of_sound(tmp_path):
    write_frames(tmp_path, 1)
    write_media(tmp_path / "v.mp4", Picture(), Voice())
    (tmp_path / "v.mp4").rename(tmp_path / "v.m4a")
    assert "found a video in it" in error_of(tmp_path)


@pytest.mark.parametrize("rate_hz", [0.0, -5.0, float("nan"), float("inf"), 1001.0])
def test_wrong_frame_rates(tmp_path, rate_hz):
    write_frames(tmp_path, 1)
    assert "expected more than 0 and at most 1000" in error_of(tmp_path, rate_hz)


def test_a_frame_rate_for_a_file(tmp_path):
    path = write_media(tmp_path / "a.mp4", Picture())
    assert "a file has its own; leave --frame-rate out" in error_of(path, 25.0)


def test_no_permission(tmp_path, monkeypatch):
    write_frames(tmp_path, 1)

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert "directory that may not be read" in error_of(tmp_path)
