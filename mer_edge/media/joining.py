"""Counts of time that begin anew in a file, put one behind the other.

``mer_edge.media.mending`` says what is known of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mer_edge.media.pieces import MendedStream, Piece
from mer_edge.media.stamps import BREAK_S

MAX_JUMP_S = 10.0
"""Longer pauses in a stream that may begin a new count are one (FFmpeg: -dts_delta_threshold)."""
MAX_SKEW_S = 5.0
"""Sound and pictures that lie together in a file are of the same time but for this: five times the
second that a decoder may have to hold them (ISO/IEC 13818-1, 2.4.2.6)."""


def is_new_count(gap_s: float, may_restart: bool) -> bool:
    """Whether a step of the decoding times by ``gap_s`` cannot be a pause."""
    return gap_s < -BREAK_S or (may_restart and gap_s > MAX_JUMP_S)


@dataclass(eq=False)
class _Beginning:
    """Where a stream's count begins, or begins anew."""

    stream: MendedStream
    index: int
    """Of the piece among those kept."""
    room_s: float
    """The length of damaged pieces before it."""

    @property
    def piece(self) -> Piece:
        return self.stream.kept[self.index]

    @property
    def expected_s(self) -> float | None:
        """Where the stream ended before, mended; None at its first piece."""
        if not self.index:
            return None
        return self.stream.kept[self.index - 1].mended_end_s + self.room_s

    @property
    def least_shift_s(self) -> float:
        """What leaves nothing of it before the end of what came before."""
        return float("-inf") if self.expected_s is None else self.expected_s - self.piece.start_s


def join(streams: Sequence[MendedStream], may_restart: bool) -> list[float]:
    """Move each new count to the end of the one before; returns when, in mended time."""
    beginnings = [b for stream in streams for b in _beginnings(stream, may_restart)]
    beginnings.sort(key=lambda beginning: beginning.piece.run.arrived)
    done: set[_Beginning] = set()
    joined_s = []
    for beginning in beginnings:
        if not beginning.index or beginning in done:
            continue
        others = [b for b in beginnings if b.stream is not beginning.stream and b not in done]
        group = [beginning, *_partners(beginning, others, beginnings)]
        if len(group) == 1 and any(
            _is_pause(beginning, stream) for stream in streams if stream is not beginning.stream
        ):
            continue
        shift_s = max(member.least_shift_s for member in group)
        for member in group:
            done.add(member)
            for piece in member.stream.kept[member.index :]:
                piece.shift_s = shift_s
        joined_s.append(beginning.piece.start_s + shift_s)
    return joined_s


def _beginnings(stream: MendedStream, may_restart: bool) -> Iterator[_Beginning]:
    index, room_s = 0, 0.0
    before: Piece | None = None
    for piece in stream.pieces:
        if piece.damaged:
            room_s += piece.length_s
            continue
        if before is None or is_new_count(_gap_s(before, piece, room_s), may_restart):
            yield _Beginning(stream, index, room_s)
        index, room_s, before = index + 1, 0.0, piece


def _gap_s(before: Piece, piece: Piece, room_s: float) -> float:
    """What damaged pieces, whose lengths may be damaged, too, leave of the step between two."""
    gap_s = before.gap_to(piece, room_s)
    return gap_s if gap_s >= 0 else min(0.0, before.gap_to(piece))


def _partners(
    beginning: _Beginning, others: Sequence[_Beginning], all_: Sequence[_Beginning]
) -> list[_Beginning]:
    """Where other streams begin the same count: nearly the same time, nearest in the file."""

    def distance(one: _Beginning, two: _Beginning) -> int:
        return abs(one.piece.run.arrived - two.piece.run.arrived)

    partners: dict[MendedStream, _Beginning] = {}
    own = [b for b in all_ if b.stream is beginning.stream]
    for other in others:
        alike = abs(other.piece.start_s - beginning.piece.start_s) <= MAX_JUMP_S
        if alike and min(own, key=lambda b: distance(b, other)) is beginning:
            known = partners.get(other.stream)
            if known is None or distance(other, beginning) < distance(known, beginning):
                partners[other.stream] = other
    return list(partners.values())


def _is_pause(beginning: _Beginning, other: MendedStream) -> bool:
    """Whether a stream only leaps ahead to where another one is at that place in the file."""
    if beginning.least_shift_s > beginning.piece.shift_s + BREAK_S:
        return False
    there = {id(run): end_s for run, end_s in beginning.piece.run.beside}
    for piece in other.kept:
        if id(piece.run) in there:
            other_s = there[id(piece.run)] + piece.shift_s
            return abs(beginning.piece.start_s + beginning.piece.shift_s - other_s) <= MAX_SKEW_S
    return False
