"""How much of an avi or wav file is missing: FFmpeg adapts its duration to what is there."""

from __future__ import annotations

import struct
from pathlib import Path

UNKNOWN_SIZE_BYTES = 0x7FFF_0000
"""Recorders that cannot go back and write the size say 0x7FFFxxxx, 0x80000000 or 0xFFFFFFFF."""


def share_present(path: Path) -> float:
    """Bytes of sound and picture in the file / bytes it declares, more than 0 and at most 1.

    1 for a complete file, one that does not know its size, and another format.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        position = 12 if head[:4] in (b"RIFF", b"RF64") else size
        while position + 12 <= size:
            file.seek(position)
            name, declared, kind = struct.unpack("<4sI4s", file.read(12))
            if name == b"data" or (name == b"LIST" and kind == b"movi"):
                if declared >= UNKNOWN_SIZE_BYTES:
                    return 1.0
                return min(1.0, (size - position - 8) / max(declared, 1))
            position += 8 + declared + declared % 2  # Chunks start at even positions.
    return 1.0
