"""Time stamps of an MPEG-TS file changed byte by byte (ISO/IEC 13818-1, 2.4.3.2 and 2.4.3.7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

PACKET_BYTES = 188
CLOCK_HZ = 90_000
WRAP_S = 2**33 / CLOCK_HZ
"""26.5 hours, after which the time stamps begin again at 0."""
VIDEO_IDS, AUDIO_IDS = range(0xE0, 0xF0), range(0xC0, 0xE0)

Change = Callable[[int, float], float]
"""From the number of a packet of the elementary stream (PES), and a time, to the new time."""


def restamp(
    path: Path, ids: range, change: Change, *, presentation: bool = True, decoding: bool = True
) -> int:
    """Change the stamps of the PES packets whose stream id is in ``ids``.

    Args:
        presentation: change their PTS.
        decoding: change their DTS, where they have one.

    Returns:
        How many PES packets there are.
    """
    data = bytearray(path.read_bytes())
    number = -1
    for number, at in enumerate(_pes_starts(data, ids)):
        flags = data[at + 7] >> 6
        if flags & 2 and presentation:
            _write(data, at + 9, change(number, _read(data, at + 9)))
        if flags == 3 and decoding:
            _write(data, at + 14, change(number, _read(data, at + 14)))
    path.write_bytes(data)
    return number + 1


def _pes_starts(data: bytearray, ids: range) -> Iterator[int]:
    for packet in range(0, len(data) - PACKET_BYTES + 1, PACKET_BYTES):
        assert data[packet] == 0x47
        begins, has_field = data[packet + 1] & 0x40, data[packet + 3] & 0x20
        at = packet + 4 + (1 + data[packet + 4] if has_field else 0)
        if begins and data[at : at + 3] == b"\0\0\1" and data[at + 3] in ids:
            yield at


def _read(data: bytearray, at: int) -> float:
    high, middle, low = data[at], data[at + 1 : at + 3], data[at + 3 : at + 5]
    bits = (high >> 1 & 7) << 30
    bits |= (int.from_bytes(middle, "big") >> 1) << 15 | int.from_bytes(low, "big") >> 1
    return bits / CLOCK_HZ


def _write(data: bytearray, at: int, time_s: float) -> None:
    bits = round(time_s * CLOCK_HZ) % 2**33
    data[at] = data[at] & 0xF1 | (bits >> 30) << 1
    data[at + 1 : at + 3] = ((bits >> 15 & 0x7FFF) << 1 | 1).to_bytes(2, "big")
    data[at + 3 : at + 5] = ((bits & 0x7FFF) << 1 | 1).to_bytes(2, "big")


def blank(path: Path, ids: range, from_s: float, to_s: float) -> float:
    """Turn PES packets of these times, counted from the first one, into padding.

    Returns:
        The share of them that is gone.
    """
    data = bytearray(path.read_bytes())
    starts = list(_pes_starts(data, ids))
    first_s = _read(data, starts[0] + 9)
    gone = 0
    for at, until in zip(starts, [*starts[1:], len(data)], strict=True):
        if from_s <= _read(data, at + 9) - first_s < to_s:
            _pad(data, at - at % PACKET_BYTES, until)
            gone += 1
    path.write_bytes(data)
    return gone / len(starts)


def _pad(data: bytearray, start: int, until: int) -> None:
    """The packets of the same elementary stream from ``start`` on get the null packet's number."""
    identity = _identity(data, start)
    for packet in range(start, until - until % PACKET_BYTES, PACKET_BYTES):
        if _identity(data, packet) == identity:
            data[packet + 1] |= 0x1F
            data[packet + 2] = 0xFF


def _identity(data: bytearray, packet: int) -> int:
    return (data[packet + 1] & 0x1F) << 8 | data[packet + 2]
