import struct
import wave
from pathlib import Path

import pytest

from mer_edge.media.declared import header_duration_s

MOV = "mov,mp4,m4a,3gp,3g2,mj2"


def box(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(payload), kind) + payload


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def movie(duration: int, version: int = 0) -> bytes:
    fields = ">B3xQQIQ" if version else ">B3xIIII"
    mvhd = box(b"mvhd", struct.pack(fields, version, 0, 0, 600, duration) + bytes(80))
    return box(b"ftyp", b"isom") + box(b"mdat", bytes(100)) + box(b"moov", box(b"udta", b"") + mvhd)


@pytest.mark.parametrize("version", [0, 1])
def test_a_movie_header_declares_ten_hours(tmp_path, version):
    path = write(tmp_path / "a.mp4", movie(600 * 36_000, version))
    assert header_duration_s(path, MOV) == 36_000


@pytest.mark.parametrize("duration", [0, 0xFFFF_FFFF])
def test_a_movie_header_may_leave_it_open(tmp_path, duration):
    assert header_duration_s(write(tmp_path / "a.mp4", movie(duration)), MOV) is None


def test_large_boxes_and_boxes_to_the_end_are_followed(tmp_path):
    large = struct.pack(">I4sQ", 1, b"mdat", 16 + 5) + bytes(5)
    data = large + movie(1200)
    assert header_duration_s(write(tmp_path / "a.mp4", data), MOV) == 2
    to_the_end = struct.pack(">I4s", 0, b"moov") + box(b"mvhd", struct.pack(">5I", 0, 0, 0, 1, 7))
    assert header_duration_s(write(tmp_path / "b.mp4", to_the_end), MOV) == 7


@pytest.mark.parametrize(
    "data",
    [b"", b"\0\0\0\x08moov", box(b"moov", box(b"mvhd", b"")), movie(600)[:40], b"\0\0\0\x01" * 9],
)
def test_a_broken_header_declares_nothing(tmp_path, data):
    assert header_duration_s(write(tmp_path / "a.mp4", data), MOV) is None


def wav(path: Path, declared_bytes: int | None = None) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(32_000))
    if declared_bytes is not None:
        data = bytearray(path.read_bytes())
        data[40:44] = struct.pack("<I", declared_bytes)
        path.write_bytes(data)
    return path


def test_a_wave_header_declares_its_bytes(tmp_path):
    assert header_duration_s(wav(tmp_path / "a.wav"), "wav") == 1.0
    assert header_duration_s(wav(tmp_path / "b.wav", 36_000 * 32_000), "wav") == 36_000


@pytest.mark.parametrize("size", [0, 0xFFFF_FFFF, 0x8000_0000, 0x7FFF_FFFF - 44])
def test_a_streamed_wave_leaves_it_open(tmp_path, size):
    assert header_duration_s(wav(tmp_path / "a.wav", size), "wav") is None


def test_other_formats_are_not_read(tmp_path):
    assert header_duration_s(write(tmp_path / "a.mkv", movie(600)), "matroska,webm") is None


def test_an_avi_header_declares_its_frames(tmp_path):
    avih = struct.pack("<IIIII", 40_000, 0, 0, 0, 250) + bytes(36)
    hdrl = b"hdrlavih" + struct.pack("<I", len(avih)) + avih
    data = b"RIFF\xff\0\0\0AVI LIST" + struct.pack("<I", len(hdrl)) + hdrl
    assert header_duration_s(write(tmp_path / "a.avi", data), "avi") == 10.0
    assert header_duration_s(write(tmp_path / "b.avi", data[:40]), "avi") is None
    assert (
        header_duration_s(write(tmp_path / "c.avi", data.replace(b"hdrl", b"xxxx")), "avi") is None
    )
