"""Opening a media file with FFmpeg (through PyAV), and choosing the streams to read."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av

from mer_edge.errors import NO_MEMORY, MerEdgeError, is_out_of_memory
from mer_edge.media.hardware import FILES_ONLY, open_on_device

# PyAV keeps FFmpeg's log off stderr unless a program asks for it; said here because the error
# line of ours is all that a user shall see.
av.logging.set_level(None)

READ_ERRORS = (av.FFmpegError, OSError, ValueError, IndexError)
"""What reading packets may raise where a file is damaged or breaks off. IndexError: PyAV 18 at the
end of an MPEG-TS in which FFmpeg has found a stream more on the way."""
NOT_MEDIA_FORMATS = frozenset({"tty", "srt", "webvtt", "ass", "lrc", "concat", "ffmetadata"})
"""Demuxers that take plain text for media (a .txt as an ANSI film, a list of other files)."""


def check_room(error: Exception, name: str) -> None:
    """What fails for want of memory says nothing about the file.

    Raises:
        MerEdgeError: ``error``, raised in reading or decoding ``name``, is the system's no.
    """
    if is_out_of_memory(error):
        raise MerEdgeError(f"{name}: {NO_MEMORY}") from error


@contextmanager
def open_container(path: Path, hwaccel: str | None = None) -> Iterator[Any]:
    """Open ``path`` for reading and close it afterwards.

    Args:
        hwaccel: decode the video on this kind of device (``mer_edge.media.hardware``).

    Raises:
        MerEdgeError: the file is missing, unreadable, empty or not a media file; or the device
            cannot be had.
    """
    container = _open(path, hwaccel)
    try:
        if container.format.name in NOT_MEDIA_FORMATS:
            raise MerEdgeError(
                f"{path}: found text ({container.format.name}); expected a media file with sound "
                "or a picture; name the clip, and give the text with --text-file"
            )
        yield container
    finally:
        container.close()


def _open(path: Path, hwaccel: str | None) -> Any:
    _check_file(path)
    if hwaccel is not None:
        return open_on_device(path, hwaccel)
    try:
        # An absolute path cannot be read as a protocol ("concat:a|b"), and a playlist may not
        # reach the network.
        return av.open(
            str(path.absolute()),
            # Not options=: before PyAV 17.1 it crashes on mpg, whose streams come while probing.
            container_options=FILES_ONLY,
            metadata_errors="ignore",
        )
    except PermissionError as error:
        raise _unreadable(path) from error
    except (av.FFmpegError, OSError, ValueError) as error:
        check_room(error, str(path))
        raise MerEdgeError(f"{path}: {_why_not_media(path, error)}") from error


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise MerEdgeError(
                f"{path}: found neither a file nor a directory; expected a media file, which is "
                "read more than once; save the stream to a file first"
            )
        if status.st_size == 0:
            raise MerEdgeError(
                f"{path}: the file is empty (0 bytes); expected a media file; copy it again"
            )
    except FileNotFoundError as error:
        raise no_such_file(path) from error
    except PermissionError as error:
        raise _unreadable(path) from error
    except OSError as error:
        raise MerEdgeError(f"{path}: cannot be read: {error.strerror}") from error


def no_such_file(path: Path) -> MerEdgeError:
    """What is said of a path where nothing is."""
    if str(path) == "-":
        return MerEdgeError(
            "-: found - for stdin where a file is expected, which is read more than once; "
            "run: mer-edge stream -"
        )
    return MerEdgeError(
        f"{path}: no such file; expected a media file or a directory of frames; "
        "check the name and the folder"
    )


def _unreadable(path: Path) -> MerEdgeError:
    return MerEdgeError(
        f"{path}: found a file that may not be read (permission denied); "
        f"expected a readable media file; run: chmod +r '{path}'"
    )


def _why_not_media(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
        return (
            "found an mp4/mov without a readable index ('moov'), so it is truncated or was never "
            "finished; expected a complete file; copy or record it again"
        )
    reason = getattr(error, "strerror", None) or str(error)
    return (
        f"found a file that FFmpeg cannot read ({reason}); expected a media file such as mp4, "
        "mkv, webm, mov, avi, mpg, wav or flac; check the file or convert it"
    )


def choose_stream(container: Any, kind: str) -> Any | None:
    """The stream a player would play: the default one of ``kind``, else the first; or None.

    ``kind`` is ``video`` or ``audio``. Cover pictures and streams that this FFmpeg has no decoder
    for do not count.
    """
    streams: Sequence[Any] = [
        s for s in container.streams if s.type == kind and can_decode(s) and not is_picture(s)
    ]
    default = [s for s in streams if s.disposition & av.stream.Disposition.default]
    return next(iter([*default, *streams]), None)


def can_decode(stream: Any) -> bool:
    return stream.codec_context is not None


def is_picture(stream: Any) -> bool:
    """Whether a video stream is a picture attached to a song, not a video."""
    pictures = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    return bool(stream.disposition & pictures)


def describe_streams(container: Any) -> str:
    """For messages: ``video (h264), subtitle (mov_text)``."""
    parts = []
    for stream in container.streams:
        if not can_decode(stream):
            parts.append(f"{stream.type} in a codec without a decoder here")
        elif is_picture(stream):
            parts.append("a cover picture")
        else:
            parts.append(f"{stream.type} ({stream.codec_context.name})")
    return ", ".join(parts) or "no stream"
