"""Lengths that a header promises and FFmpeg silently corrects, read from the bytes themselves.

FFmpeg takes an mp4's length from its sample tables and a wav's or avi's from the file's size, so
that a header with another length goes unnoticed: a damaged header, or a file that was cut.
Formats: ISO/IEC 14496-12 (boxes, ``moov/mvhd``), Microsoft RIFF WAVE (``fmt ``, ``data``) and AVI
(``hdrl/avih``).
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

_UNKNOWN_32, _UNKNOWN_64 = 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF
_STREAMED_SIZE = 0x7FFF_0000
"""What recorders write that cannot go back: 0x7FFFxxxx, 0x80000000, 0xFFFFFFFF; or 0."""
_MAX_CHUNKS = 10_000
"""A header with more boxes than this is not a header."""


def header_duration_s(path: Path, format_name: str) -> float | None:
    """The length that the header of an mp4, wav or avi declares; None where it declares none.

    Args:
        format_name: FFmpeg's name of the container, for example ``mov,mp4,m4a,3gp,3g2,mj2``.
    """
    names = format_name.split(",")
    with path.open("rb") as file:
        try:
            if "mov" in names:
                return _movie_duration_s(file)
            if "wav" in names:
                return _wave_duration_s(file)
            if "avi" in names:
                return _avi_duration_s(file)
        except (struct.error, IndexError):
            return None  # The header ends early; what decodes will tell.
    return None


def _movie_duration_s(file: BinaryIO) -> float | None:
    end = file.seek(0, os.SEEK_END)
    moov = _find_box(file, 0, end, b"moov")
    mvhd = moov and _find_box(file, *moov, b"mvhd")
    if not mvhd:
        return None
    file.seek(mvhd[0])
    version = file.read(4)[0]
    if version == 1:
        _, _, timescale, duration = struct.unpack(">QQIQ", file.read(28))
    else:
        _, _, timescale, duration = struct.unpack(">IIII", file.read(16))
    unknown = duration in (0, _UNKNOWN_32, _UNKNOWN_64)
    return None if unknown or not timescale else duration / timescale


def _find_box(file: BinaryIO, start: int, end: int, wanted: bytes) -> tuple[int, int] | None:
    """Where the payload of the first box ``wanted`` lies between ``start`` and ``end``."""
    for _ in range(_MAX_CHUNKS):
        if start + 8 > end:
            return None
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        payload = start + 8
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8))
            payload += 8
        stop = start + size if size else end
        if kind == wanted:
            return payload, min(stop, end)
        if stop <= start:
            return None
        start = stop
    return None


def _wave_duration_s(file: BinaryIO) -> float | None:
    bytes_per_second = 0
    position = 12  # after "RIFF", the size and "WAVE"
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            return None
        kind, size = struct.unpack("<4sI", head)
        if kind == b"fmt ":
            (bytes_per_second,) = struct.unpack("<8xI", file.read(12))
        if kind == b"data":
            unknown = size == 0 or size >= _STREAMED_SIZE
            return None if unknown or not bytes_per_second else size / bytes_per_second
        position += 8 + size + size % 2
    return None


def _avi_duration_s(file: BinaryIO) -> float | None:
    """Frames times their length. A file over 1 GB counts here what its first part holds."""
    file.seek(12)  # after "RIFF", the size and "AVI "
    outer, inner, frame_us, frames = struct.unpack("<4s4x8s4xI12xI", file.read(40))
    if (outer, inner) != (b"LIST", b"hdrlavih"):
        return None
    duration_s: float = frames * frame_us / 1e6
    return duration_s or None
