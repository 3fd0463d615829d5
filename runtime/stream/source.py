"""What a stream is read from: a camera, a URL, a pipe or a file, by its name alone."""

from __future__ import annotations

import os
import re
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av

from mer_edge.errors import MerEdgeError
from mer_edge.media.container import NOT_MEDIA_FORMATS, choose_stream, describe_streams

SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "tcp", "rtp", "srt")
NETWORK = "rtp,udp,tcp,tls,http,https,httpproxy,crypto,rtmp,rtmps,rtmpt,rtsp,srt,data"
"""The protocols that a URL may use, also through a playlist: never the machine's own files."""
OPEN_TIMEOUT_S = 15.0
READ_TIMEOUT_S = 10.0
"""A source that is silent for so long is lost."""
PROBE_US = 2_000_000
"""How much of a live source FFmpeg looks at before it says what is in it; its default is 5 s."""
CAMERAS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
"""FFmpeg's input device for cameras by ``sys.platform``."""


@dataclass(frozen=True)
class Source:
    """What to open, and what its end means."""

    name: str
    """For messages and results; without a password."""
    kind: str
    """``file``, ``camera``, ``url`` or ``pipe``"""
    target: str
    """What FFmpeg opens."""
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    """FFmpeg's, of the demuxer or the protocol."""

    @property
    def can_return(self) -> bool:
        """Whether opening it again after a loss makes sense."""
        return self.kind in ("camera", "url")


def parse_source(given: str, format_: str | None = None) -> Source:
    """The source that a user names.

    Args:
        given: ``-``, a camera's index, ``/dev/video0``, ``video=NAME`` (Windows), a URL of one of
            ``SCHEMES``, or a path.
        format_: FFmpeg's name of the format, with options: ``s16le:sample_rate=16000``.

    Raises:
        MerEdgeError: nothing of the kind, or no such format.
    """
    name, options = _parse_format(format_)
    if name is not None and name not in av.formats_available:
        known = {alias for entry in av.formats_available for alias in entry.split(",")}
        if name not in known:
            raise MerEdgeError(
                f"found --stream-format {name}; expected a format that this FFmpeg reads, such as "
                "mpegts, matroska, s16le or v4l2; correct it, or leave it out"
            )
    if not given:
        raise MerEdgeError("found an empty --stream; expected a camera, a URL, - or a file")
    if given == "-":
        return Source("stdin", "pipe", "pipe:0", name, {"protocol_whitelist": "pipe", **options})
    if given.isdigit() or given.startswith(("/dev/video", "video=", "audio=")):
        return _camera(given, name, options)
    scheme = re.match(r"([a-zA-Z][a-zA-Z0-9+.-]*)://", given)
    if scheme is not None:
        return _url(given, scheme[1].lower(), name, options)
    if name is not None and not Path(given).exists():
        # An input device has names of its own: `--stream default --stream-format alsa`.
        return Source(given, "camera", given, name, options)
    return _path(given, name, options)


def open_source(source: Source) -> Any:
    """An ``av`` container, opened.

    Raises:
        MerEdgeError: it cannot be opened, or has neither sound nor pictures.
    """
    try:
        container = av.open(
            source.target,
            format=source.format,
            container_options=source.options,
            timeout=(OPEN_TIMEOUT_S, READ_TIMEOUT_S),
            metadata_errors="ignore",
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MerEdgeError(f"{source.name}: {_why_not(source, error)}") from error
    if container.format.name in NOT_MEDIA_FORMATS or not any(
        choose_stream(container, kind) for kind in ("video", "audio")
    ):
        found = describe_streams(container)
        container.close()
        raise MerEdgeError(
            f"{source.name}: no stream to decode; found {found}; expected sound or a picture; "
            "choose another source"
        )
    return container


def index_at_the_end(source: Source) -> MerEdgeError:
    """An mp4 was read to its end for its index, and what that points to has gone by."""
    who, instead = "a pipe cannot", "give the file's name instead"
    if source.kind == "url":
        who, instead = "this server does not", "fetch the file first"
    return MerEdgeError(
        f"{source.name}: found an mp4 or mov whose index ('moov') is at its end, and {who} go back "
        f"from there; expected the index before the media; {instead}, or write it with ffmpeg "
        "-movflags +faststart (into a pipe: frag_keyframe+empty_moov)"
    )


def reason(error: BaseException) -> str:
    """Why FFmpeg gave up, in a few words."""
    if isinstance(error, av.ExitError):  # PyAV's clock ran out
        return f"nothing came for {READ_TIMEOUT_S:g} s"
    return getattr(error, "strerror", None) or str(error)


def silence_s(error: BaseException) -> float:
    """How long nothing had come when FFmpeg gave up."""
    return READ_TIMEOUT_S if isinstance(error, av.ExitError) else 0.0


def _parse_format(given: str | None) -> tuple[str | None, dict[str, str]]:
    if given is None:
        return None, {}
    name, *pairs = given.split(":")
    if not name or not all("=" in pair for pair in pairs):
        raise MerEdgeError(
            f"found --stream-format {given}; expected a name and its options, such as "
            "s16le:sample_rate=16000:ch_layout=mono"
        )
    options: dict[str, str] = {}
    for pair in pairs:
        option, value = pair.split("=", 1)
        if option in options:
            raise MerEdgeError(
                f"found --stream-format {given} with '{option}' twice; expected it once; leave one "
                "out"
            )
        options[option] = value
    return name, options


def _camera(given: str, format_: str | None, options: dict[str, str]) -> Source:
    system = next((s for s in CAMERAS if sys.platform.startswith(s)), "linux")
    target = given
    if given.isdigit() and system == "linux":
        target = f"/dev/video{given}"
    elif given.isdigit() and system == "win32":
        raise MerEdgeError(
            f"found --stream {given}; expected the camera's name on Windows; use video=NAME"
        )
    return Source(given, "camera", target, format_ or CAMERAS[system], options)


def _url(given: str, scheme: str, format_: str | None, options: dict[str, str]) -> Source:
    if scheme not in SCHEMES:
        raise MerEdgeError(
            f"{_without_password(given)}: found the scheme '{scheme}'; expected one of "
            f"{', '.join(SCHEMES)}, or a file's path; correct the URL"
        )
    own = {"protocol_whitelist": NETWORK, "analyzeduration": str(PROBE_US)}
    if scheme in ("rtsp", "rtsps"):
        own["rtsp_transport"] = "tcp"
    if scheme == "udp":
        # A burst that does not fit the buffer costs packets, not the stream.
        own["overrun_nonfatal"] = "1"
    return Source(_without_password(given), "url", given, format_, {**own, **options})


def _path(given: str, format_: str | None, options: dict[str, str]) -> Source:
    path = Path(given)
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise MerEdgeError(
            f"{given}: found no such source ({error.strerror}); expected a camera (0 or "
            "/dev/video0), a URL, - for stdin, or a file; check the name"
        ) from error
    whitelist = {"protocol_whitelist": "file"}
    target = os.fspath(path.absolute())
    if stat.S_ISFIFO(mode):
        return Source(given, "pipe", target, format_, {**whitelist, **options})
    return Source(given, "file", target, format_, {**whitelist, **options})


def _without_password(url: str) -> str:
    return re.sub(r"(?<=://)[^/@\s]+@", "", url)


def _why_not(source: Source, error: BaseException) -> str:
    why = reason(error)
    if source.kind == "camera":
        return (
            f"the device cannot be opened ({why}); expected a camera or microphone that FFmpeg's "
            f"{source.format} finds and nobody else uses; check the name, the cable and the rights"
        )
    if source.kind == "url":
        return (
            f"cannot be opened ({why}); expected a stream there; check the address and the server"
        )
    if source.format is not None:
        return (
            f"cannot be read as {source.format} ({why}); expected that, with the options that it "
            "needs; check what is there, correct --stream-format, or leave it out"
        )
    return (
        f"cannot be read as media ({why}); expected a container such as mpegts, matroska or wav, "
        "or a whole mp4; name it with --stream-format if it is raw"
    )
