"""How much of an avi or wav file is missing: FFmpeg adapts its duration to what is there."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

UNKNOWN_SIZE_BYTES = 0x7FFF_0000
"""Recorders that cannot go back and write the size say 0x7FFFxxxx, 0x80000000 or 0xFFFFFFFF."""


def share_present(path: Path) -> float:
    """Bytes in the file / bytes that its chunks declare; 1.0 for a complete or another file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        declared = _declared_bytes(file, size)
    return min(1.0, size / declared) if declared else 1.0


def _declared_bytes(file: BinaryIO, size: int) -> int:
    """Where the last chunk ends, by its own word; 0 where that is not known."""
    head = file.read(12)
    if head[:4] not in (b"RIFF", b"RF64") or len(head) < 12:
        return 0
    position = 12
    while position + 8 <= size:
        file.seek(position)
        (chunk,) = struct.unpack("<4xI", file.read(8))
        if chunk >= UNKNOWN_SIZE_BYTES:
            return 0
        # Chunks start at even positions; the last one's padding byte may be missing.
        position += 8 + chunk
        if position < size:
            position += position % 2
    return position if position > size else 0
