"""Files that are in order and unlike others."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from mer_edge.errors import MerEdgeError
from mer_edge.media.scan import scan_media
from mer_edge.media.source import open_media
from tests.media_files import Picture, Voice, number_of, quadrants, write_media

EXIF_QUARTER_TURN = (
    b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x0112, 3, 1, 6) + bytes(4)
)
"""Orientation 6: the stored picture is to be turned clockwise by 90 degrees (Exif 2.32, 4.6.4)."""


@pytest.mark.parametrize(
    ("codec", "pixel_format", "name"),
    [
        ("libx264", "yuv422p10le", "a.mp4"),
        ("libx264", "gray", "a.mp4"),
        ("libx265", "yuv420p10le", "a.mp4"),
        ("libvpx-vp9", "yuva420p", "a.webm"),
        ("libsvtav1", "yuv420p", "a.mkv"),
        ("gif", "bgr8", "a.gif"),
        ("png", "rgb24", "a.mov"),
        ("ffv1", "gray16le", "a.mkv"),
        ("rawvideo", "uyvy422", "a.avi"),
    ],
)
def test_a_pixel_format(tmp_path: Path, codec: str, pixel_format: str, name: str) -> None:
    if codec == "libsvtav1":
        import av

        if codec not in av.codecs_available:
            pytest.skip("this FFmpeg has no AV1 encoder")
    picture = Picture(codec, size=(176, 144), frames=25, pixel_format=pixel_format)
    path = write_media(tmp_path / name, picture)
    with open_media(path) as media:
        shown = [media.frames.picture_at(time_s).pixels for time_s in (0.02, 0.5, 0.98)]
    assert [number_of(pixels) for pixels in shown] == pytest.approx([0, 12, 24], abs=2)
    assert shown[0].shape == (144, 176, 3)


@pytest.mark.parametrize("name", ["a.mp4", "a.ts", "a.gif", "a.mkv"])
def test_one_frame(tmp_path: Path, name: str) -> None:
    codec = "gif" if name == "a.gif" else "libx264"
    path = write_media(tmp_path / name, Picture(codec, frames=1))
    with open_media(path) as media:
        assert media.duration_s == pytest.approx(0.04)
        assert number_of(media.frames.picture_at(0.02).pixels) == 0


def exif_jpeg(path: Path) -> Path:
    jpeg = write_media(path, Picture("mjpeg", frames=1, draw=quadrants)).read_bytes()
    marker = b"\xff\xe1" + struct.pack(">H", 2 + len(EXIF_QUARTER_TURN)) + EXIF_QUARTER_TURN
    path.write_bytes(jpeg[:2] + marker + jpeg[2:])
    return path


def test_a_photo_with_exif_is_turned(tmp_path: Path) -> None:
    """FFmpeg hands Exif on as data that PyAV has no name for."""
    with open_media(exif_jpeg(tmp_path / "a.jpg")) as media:
        pixels = media.frames.picture_at(0.0).pixels
    assert pixels.shape == (160, 120, 3)
    # What was bottom left (blue) is top left; what was top left (red) is top right.
    assert pixels[40, 30].argmax() == 2
    assert pixels[40, 90].argmax() == 0


def test_a_song_with_a_cover_in_mp4(tmp_path: Path) -> None:
    import av

    cover = write_media(tmp_path / "cover.mjpeg", Picture("mjpeg", frames=1)).read_bytes()
    path = tmp_path / "song.m4a"
    song = write_media(tmp_path / "plain.m4a", None, Voice(duration_s=2))
    with av.open(str(song)) as source, av.open(str(path), "w", format="mp4") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        picture = target.add_stream("mjpeg", rate=1)
        picture.width, picture.height, picture.pix_fmt = 160, 120, "yuvj420p"
        picture.disposition = av.stream.Disposition.attached_pic
        packets = [packet for packet in source.demux() if packet.size]
        image = av.Packet(cover)
        image.stream, image.pts, image.dts = picture, 0, 0
        for packet in packets:
            packet.stream = stream
        target.mux([image, *packets])
    scan = scan_media(path)
    assert scan.video is None
    assert scan.duration_s == pytest.approx(2, abs=0.05)


def test_sound_of_less_than_a_filter(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.wav", None, Voice("pcm_s16le", duration_s=0.001))
    with open_media(path) as media, pytest.raises(MerEdgeError) as caught:
        media.sound.read(0, 1)
    assert "found sound of 1 ms, too short to resample" in str(caught.value)


def test_a_long_silent_end(tmp_path: Path) -> None:
    voice = Voice(duration_s=40, wave=lambda t: np.where(t < 1, np.sin(2000 * t), 0))
    path = write_media(tmp_path / "a.mp4", Picture(frames=25), voice)
    with open_media(path) as media:
        assert media.duration_s == pytest.approx(40, abs=0.05)
        shown = media.frames.pictures_at([0.5, 1.5, 39.0])
        assert [picture is not None for picture in shown] == [True, False, False]
        sound = media.sound.read(0, 40)
    assert sound.covered.all()
    assert np.abs(sound.samples[17_000:]).max() < 0.01
