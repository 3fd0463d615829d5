"""Options of ``--stream-format``: what FFmpeg would pass by is refused."""

from __future__ import annotations

import re

import av
import pytest

from mer_edge.cli.main import main
from mer_edge.errors import MerEdgeError
from runtime.stream import format_options
from runtime.stream.format_options import check_format_options

pytestmark = pytest.mark.skipif(
    format_options._library() is None, reason="libavformat cannot be asked here"
)


@pytest.mark.parametrize(
    ("format_", "options", "protocol"),
    [
        ("s16le", {"sample_rate": "8000", "ch_layout": "5.1"}, "pipe"),
        (
            "rawvideo",
            {"video_size": "vga", "pixel_format": "yuv420p", "framerate": "ntsc"},
            "file",
        ),
        ("mpegts", {"fifo_size": "1000", "overrun_nonfatal": "1", "probesize": "5M"}, "udp"),
        (
            "mpegts",
            {"user_agent": "me", "timeout": "1000", "tcp_nodelay": "1", "rw_timeout": "1"},
            "http",
        ),
        ("mpegts", {"user_agent": "", "tls_verify": "1", "fflags": "+genpts-igndts"}, "https"),
        ("rtsp", {"rtsp_transport": "tcp+udp", "buffer_size": "100"}, "rtsp"),
        ("matroska", {"analyzeduration": "1000000"}, "file"),
        ("v4l2", {"video_size": "640x480", "framerate": "30", "input_format": "mjpeg"}, "file"),
    ],
)
def test_what_ffmpeg_has(format_: str, options: dict[str, str], protocol: str) -> None:
    if format_ in av.formats_available:
        check_format_options("", format_, options, protocol)


@pytest.mark.parametrize(
    ("format_", "option", "protocol"),
    [
        ("s16le", "sampel_rate", "pipe"),
        ("s16le", "channels", "pipe"),  # of older versions
        ("mpegts", "sample_rate", "file"),  # another format's
        ("mpegts", "fifo_size", "file"),  # another protocol's
        ("mpegts", "user_agent", "udp"),
        ("matroska", "flush_packets", "file"),  # a writer's
        ("matroska", "", "file"),
    ],
)
def test_what_it_has_not(format_: str, option: str, protocol: str) -> None:
    said = f"{format_} over {protocol} has no option '{option}'"
    with pytest.raises(MerEdgeError, match=re.escape(said)):
        check_format_options("", format_, {"probesize": "1000", option: "1"}, protocol)


@pytest.mark.parametrize(
    ("format_", "option", "value", "why"),
    [
        ("s16le", "sample_rate", "fast", "Invalid argument"),
        ("s16le", "sample_rate", "-5", "expected 0 to 2147483647"),
        ("s16le", "ch_layout", "nonsense", "Invalid argument"),
        ("rawvideo", "video_size", "10by10", "Invalid argument"),
        ("rawvideo", "pixel_format", "nope", "Invalid argument"),
        ("rawvideo", "framerate", "often", "Invalid argument"),
        ("v4l2", "framerate", "often", "expected frames a second"),
        ("mpegts", "fflags", "nope", "Invalid argument"),
        ("rtsp", "rtsp_transport", "pigeon", "Invalid argument"),
        ("mpegts", "fifo_size", "x", "Invalid argument"),
    ],
)
def test_values_that_it_does_not_take(format_: str, option: str, value: str, why: str) -> None:
    if format_ not in av.formats_available:
        pytest.skip(f"this FFmpeg has no {format_}")
    protocol = {"mpegts": "udp", "rtsp": "rtsp"}.get(format_, "file")
    said = f"'{value}' is no value of FFmpeg's option '{option}' ({why})"
    with pytest.raises(MerEdgeError, match=re.escape(said)):
        check_format_options("", format_, {"probesize": "1000", option: value}, protocol)


@pytest.mark.parametrize(
    ("source", "format_", "message"),
    [
        ("-", "s16le:sampel_rate=8000", "s16le over pipe has no option 'sampel_rate'"),
        ("udp://127.0.0.1:9", "mpegts:overun=1", "mpegts over udp has no option 'overun'"),
        ("0", "v4l2:size=640x480", "v4l2 over file has no option 'size'"),
    ],
)
def test_as_a_user_reads_it(
    source: str, format_: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # The bundle is not there: this is told before anything is opened.
    assert (
        main(["infer", "--bundle", "nowhere", "--stream", source, "--stream-format", format_]) == 2
    )
    err = capsys.readouterr().err
    assert err.startswith(f"error: found --stream-format {format_}, but FFmpeg's {message}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("format_", "message"),
    [
        (
            "s16le:sample_rate=fast:ch_layout=mono",
            ", but 'fast' is no value of FFmpeg's option 'sample_rate' (Invalid argument); correct",
        ),
        ("s16le:sample_rate=8000:sample_rate=9000", " with 'sample_rate' twice; expected it once"),
    ],
)
def test_a_wrong_value_is_named(
    format_: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["infer", "--bundle", "nowhere", "--stream", "-", "--stream-format", format_]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: found --stream-format {format_}{message}")
    assert err.count("\n") == 1
