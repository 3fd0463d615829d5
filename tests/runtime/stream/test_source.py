"""What a name means, and how what it means is opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mer_edge.errors import MerEdgeError
from runtime.stream.source import open_source, parse_source


@pytest.mark.parametrize(
    ("given", "kind", "target", "format_"),
    [
        ("-", "pipe", "pipe:0", None),
        ("0", "camera", "/dev/video0", "v4l2"),
        ("/dev/video2", "camera", "/dev/video2", "v4l2"),
        ("udp://127.0.0.1:5000", "url", "udp://127.0.0.1:5000", None),
        ("RTSP://cam/1", "url", "RTSP://cam/1", None),
    ],
)
def test_names(
    given: str, kind: str, target: str, format_: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    source = parse_source(given)
    assert (source.kind, source.target, source.format) == (kind, target, format_)
    assert source.can_return == (kind in ("camera", "url"))


def test_cameras_of_other_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert parse_source("1").format == "avfoundation"
    monkeypatch.setattr("sys.platform", "win32")
    assert parse_source("video=Integrated Camera").format == "dshow"
    with pytest.raises(MerEdgeError, match="use video=NAME"):
        parse_source("0")


def test_files_pipes_and_raw(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    os.mkfifo(tmp_path / "pipe")
    assert parse_source(str(tmp_path / "a.mp4")).kind == "file"
    assert parse_source(str(tmp_path / "pipe")).kind == "pipe"
    raw = parse_source("-", "s16le:sample_rate=8000:ch_layout=mono")
    assert raw.format == "s16le"
    assert raw.options == {
        "protocol_whitelist": "pipe",
        "sample_rate": "8000",
        "ch_layout": "mono",
    }
    microphone = parse_source("default", "alsa")
    assert (microphone.kind, microphone.format) == ("camera", "alsa")


def test_a_password_is_never_told() -> None:
    source = parse_source("rtsp://user:secret@127.0.0.1:9/x")
    assert source.target == "rtsp://user:secret@127.0.0.1:9/x"
    with pytest.raises(MerEdgeError) as caught:
        open_source(source)
    assert "secret" not in str(caught.value)
    assert "rtsp://127.0.0.1:9/x: cannot be opened (Connection refused)" in str(caught.value)


@pytest.mark.parametrize(
    ("given", "format_", "message"),
    [
        ("", None, "an empty --stream"),
        ("missing.mp4", None, "missing.mp4: found no such source"),
        ("concat://a|b", None, "the scheme 'concat'"),
        ("file:///etc/passwd", None, "the scheme 'file'"),
        ("-", "nonsense", "--stream-format nonsense"),
        ("-", "s16le:mono", "--stream-format s16le:mono"),
    ],
)
def test_what_is_no_source(given: str, format_: str | None, message: str) -> None:
    with pytest.raises(MerEdgeError) as caught:
        parse_source(given, format_)
    assert message in str(caught.value)


def test_a_camera_that_is_not_there_is_named() -> None:
    """No camera is in a test machine: only that its absence is told can be tested."""
    with pytest.raises(MerEdgeError) as caught:
        open_source(parse_source("/dev/video97"))
    assert "/dev/video97: the device cannot be opened" in str(caught.value)
    assert "check the name, the cable" in str(caught.value)


def test_a_file_of_words_is_no_stream(tmp_path: Path) -> None:
    path = tmp_path / "words.mp4"
    path.write_text("no media at all\n" * 100)
    with pytest.raises(MerEdgeError, match=r"words\.mp4: cannot be read as media"):
        open_source(parse_source(str(path)))
    with pytest.raises(
        MerEdgeError, match=r"words\.mp4: cannot be read as mov \(.* --stream-format"
    ):
        open_source(parse_source(str(path), "mov"))
