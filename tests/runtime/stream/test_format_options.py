"""Options of ``--stream-format``: what FFmpeg would pass by is refused."""

from __future__ import annotations

import re

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
        ("s16le", ["sample_rate", "ch_layout"], "pipe"),
        ("rawvideo", ["video_size", "pixel_format", "framerate"], "file"),
        ("mpegts", ["fifo_size", "overrun_nonfatal", "probesize"], "udp"),
        ("mpegts", ["user_agent", "timeout", "tcp_nodelay", "rw_timeout"], "http"),
        ("mpegts", ["user_agent", "tls_verify"], "https"),
        ("rtsp", ["rtsp_transport", "buffer_size"], "rtsp"),
        ("matroska", ["analyzeduration"], "file"),
    ],
)
def test_what_ffmpeg_has(format_: str, options: list[str], protocol: str) -> None:
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
        check_format_options("", format_, ["probesize", option], protocol)


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
    assert main(["infer", "nowhere", "--stream", source, "--stream-format", format_]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: found --stream-format {format_}, but FFmpeg's {message}")
    assert err.count("\n") == 1
