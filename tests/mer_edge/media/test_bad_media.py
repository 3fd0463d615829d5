"""Files that are not media, or only a part of it: one clear sentence, quickly, and no noise."""

import struct
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from mer_edge.media.scan import scan_media
from tests.media_files import Picture, Voice, write_media
from tests.mer_edge.media.refusal import refused


def test_zero_bytes(tmp_path):
    path = tmp_path / "zero.mp4"
    path.touch()
    assert "empty (0 bytes)" in refused(path)


def test_missing_file(tmp_path):
    assert "no such file" in refused(tmp_path / "missing.mp4")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("noise.mp4", np.random.default_rng(0).integers(0, 256, 60_000).astype(np.uint8).tobytes()),
        ("words.mp4", b"Not a video at all.\n" * 50),
        ("words.txt", b"Not a video at all.\n" * 50),
        ("cues.srt", b"1\n00:00:00,000 --> 00:00:01,000\nHi\n\n"),
        ("list.mp4", b"ffconcat version 1.0\nfile a.mp4\n"),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"),
    ],
)
def test_not_a_media_file(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert "expected a media file" in refused(tmp_path / name)


def test_stdin_is_a_stream():
    assert "mer-edge stream -" in refused(Path("-"))


def test_something_that_is_no_file():
    assert "neither a file nor a directory" in refused(Path("/dev/null"))


def test_no_permission(tmp_path, monkeypatch):
    """Tests may run as root, who may read everything: FFmpeg's refusal is simulated."""
    path = write_media(tmp_path / "a.wav", None, Voice("pcm_s16le"))

    def refuse(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(av, "open", refuse)
    message = refused(path)
    assert "permission denied" in message
    assert "chmod +r" in message


def test_sound_of_length_zero(tmp_path):
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
    assert "of length 0" in refused(path)


def test_only_subtitles(tmp_path):
    path = write_media(tmp_path / "a.mkv", cues=[(0, 1, "Hello")])
    assert "no stream to decode; found subtitle" in refused(path)


def test_an_unknown_codec(tmp_path):
    both = write_media(tmp_path / "a.mkv", Picture(codec="mpeg4"), Voice("flac"))
    data = both.read_bytes()
    unknown = data.replace(b"V_MPEG4/ISO/ASP", b"V_QQQQQ/QQQ/QQQ")
    both.write_bytes(unknown)
    scan = scan_media(both)
    assert scan.video is None
    assert scan.audio is not None
    assert scan.notes == ("The video stream is left out: its codec has no decoder here.",)
    both.write_bytes(unknown.replace(b"A_FLAC", b"A_QQQQ"))
    assert "video in a codec without a decoder here, audio in a codec without" in refused(both)


@pytest.mark.parametrize("size", [(1, 1), (2, 400), (400, 18)])
def test_a_picture_smaller_than_a_face(tmp_path, size):
    path = write_media(
        tmp_path / "a.mkv", Picture("ffv1", size, pixel_format="bgr0"), Voice("flac")
    )
    message = refused(path)
    assert f"found a video of {size[0]} x {size[1]} pixels" in message


def test_a_video_stream_without_a_frame(tmp_path):
    """An mkv that announces a video and holds sound alone."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.int16), "s16", "mono")
        frame.sample_rate = 16_000
        container.mux(audio.encode(frame))
    assert "video stream (mpeg4) without a frame" in refused(path)


def test_a_cover_picture_is_no_video(tmp_path):
    path = write_media(tmp_path / "a.mp3", None, Voice("libmp3lame"))
    ok_jpeg = write_media(tmp_path / "cover.mjpeg", Picture("mjpeg", frames=1)).read_bytes()
    body = b"\x00image/jpeg\x00\x03\x00" + ok_jpeg
    frame = b"APIC" + struct.pack(">I", len(body)) + b"\x00\x00" + body
    size = bytes((len(frame) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    data = path.read_bytes()
    if data[:3] == b"ID3":
        data = data[10 + sum(data[6 + i] << (21 - 7 * i) for i in range(4)) :]
    path.write_bytes(b"ID3\x03\x00\x00" + size + frame + data)
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["audio", "video"]
    scan = scan_media(path)
    assert scan.video is None
    assert scan.duration_s == pytest.approx(1, abs=0.06)
