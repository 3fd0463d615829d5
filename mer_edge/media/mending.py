"""Time stamps that cannot be, and counts that begin anew, put right by the stamps around them.

What is known of a right file: the decoding times of a stream never go back, and in MPEG-TS and -PS
those of sound and picture that lie together in the file are close (ISO/IEC 13818-1, 2.4.2.3 and
2.7.4). So

- a stretch of at most ``MAX_ISLAND_S`` whose times leave those before it, forth or back, and after
  which the old count goes on, is damage: it lies where its neighbours leave room for it;
  so is one at the end that leaps far beyond where the container says that it ends;
- times that go back for good, and in containers that may begin a new count (MPEG-TS and others that
  FFmpeg marks) times that leap ahead by more than ``MAX_JUMP_S`` for good, are a discontinuity:
  joined files, a recorder that started again, a count that overflowed (33 bits, 26.5 hours). Time
  goes on there, by the same step for sound and picture;
- where one stream leaps ahead to where the other one is, it had a pause. Pauses stay.

A file whose times never do this is not touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mer_edge.media.joining import MAX_JUMP_S, is_new_count, join
from mer_edge.media.pieces import MendedStream, Piece
from mer_edge.media.stamps import BREAK_S, StampLog

MAX_ISLAND_S = 10.0
"""How much can carry one damaged stamp: a cluster of Matroska holds 5 s, a packet of MPEG-TS under
one."""
MAX_FIRST_ISLAND_S = 2.0
"""The same at the beginning, where nothing before it says what was right."""


@dataclass(frozen=True)
class Mending:
    """The chosen streams of a file with right times.

    ``new_counts_s`` are the times, before anything is taken from them, at which a count began
    anew.
    """

    streams: tuple[MendedStream, ...]
    new_counts_s: tuple[float, ...] = ()

    def notes(self, kinds: Sequence[str], origin_s: float) -> tuple[str, ...]:
        """A sentence for the user on each thing that was wrong.

        Args:
            kinds: ``video`` or ``audio``, of each stream.
            origin_s: the time that is 0 of the media.
        """
        notes = [
            f"{stream.damaged_packets} of {stream.log.packets} {kind} packets have damaged time "
            "stamps; those around them say when they are due."
            for kind, stream in zip(kinds, self.streams, strict=True)
            if stream.damaged_packets
        ]
        if self.new_counts_s:
            count = len(self.new_counts_s)
            often = "once, at" if count == 1 else f"{count} times, first at"
            notes.append(
                f"The time stamps begin a new count {often} "
                f"{self.new_counts_s[0] - origin_s:.2f} s; time goes on there."
            )
        return tuple(notes)


def mend_stamps(
    logs: Sequence[StampLog], *, may_restart: bool, declared_end_s: float | None = None
) -> Mending:
    """Find out what of the streams' times is right.

    Args:
        logs: of the streams that are decoded.
        may_restart: whether the container's counts may begin anew (FFmpeg's ``TS_DISCONT``).
        declared_end_s: the time at which the container says that it ends; None where it does not.
    """
    streams = tuple(MendedStream(log) for log in logs)
    for stream in streams:
        _mark_islands(stream)
    for stream in streams:
        _mark_first_island(stream, streams, may_restart)
        _mark_last_island(stream, declared_end_s)
    joined_s = join(streams, may_restart)
    for stream in streams:
        _place_islands(stream)
        _judge_presentation(stream, declared_end_s)
    return Mending(streams, tuple(joined_s))


def _mark_islands(stream: MendedStream) -> None:
    pieces, index = stream.pieces, 0
    while index < len(pieces):
        after = _after_island(pieces, index)
        for piece in pieces[index + 1 : after]:
            piece.damaged = True
        index = after


def _after_island(pieces: list[Piece], index: int) -> int:
    """The first piece that goes on where piece ``index`` ended; the next one if none does."""
    goes_back, least_s, room_s = False, 0.0, 0.0
    for number in range(index + 1, len(pieces)):
        piece = pieces[number]
        goes_back |= pieces[number - 1].gap_to(piece) < -BREAK_S
        goes_on = pieces[index].gap_to(piece, least_s) >= -BREAK_S
        if goes_back and goes_on and pieces[index].gap_to(piece, room_s) <= MAX_JUMP_S:
            return number
        least_s += (piece.run.last - piece.run.start) * piece.unit_s
        room_s += piece.length_s
        if room_s > MAX_ISLAND_S:
            break
    return index + 1


def _mark_first_island(
    stream: MendedStream, streams: Sequence[MendedStream], may_restart: bool
) -> None:
    """The beginning is damaged where the second piece lies beside another stream's beginning."""
    kept = stream.kept
    if len(kept) < 2 or kept[0].length_s > MAX_FIRST_ISLAND_S:
        return
    if not is_new_count(kept[0].gap_to(kept[1]), may_restart):
        return
    for other in streams:
        if other is not stream and other.kept:
            other_s = other.kept[0].start_s
            is_far = abs(kept[0].start_s - other_s) > BREAK_S + MAX_FIRST_ISLAND_S
            if is_far and abs(kept[1].start_s - other_s) <= MAX_FIRST_ISLAND_S + BREAK_S:
                kept[0].damaged = True


def _mark_last_island(stream: MendedStream, declared_end_s: float | None) -> None:
    """The end is damaged where it leaps beyond what the container says, and the rest does not."""
    kept = stream.kept
    if declared_end_s is None or len(kept) < 2 or kept[-1].length_s > MAX_ISLAND_S:
        return
    rest_s = kept[-2].start_s + kept[-2].length_s
    if rest_s <= declared_end_s + BREAK_S and kept[-1].start_s > declared_end_s + MAX_JUMP_S:
        kept[-1].damaged = True


def _judge_presentation(stream: MendedStream, declared_end_s: float | None) -> None:
    log = stream.log
    counts = {id(piece.run): piece.shift_s for piece in stream.kept}
    log.settle(lambda one, two: id(one) in counts and counts[id(one)] == counts.get(id(two)))
    if not log.strict and len(counts) == len(stream.pieces):
        latest_s = float("inf") if declared_end_s is None else declared_end_s + 2 * BREAK_S
        log.believe(latest_s / log.time_base_s if log.time_base_s else float("inf"))


def _place_islands(stream: MendedStream) -> None:
    end_s: float | None = None
    for piece in stream.pieces:
        if piece.damaged and end_s is not None:
            piece.shift_s = end_s - piece.start_s
        if not piece.damaged or end_s is not None:
            end_s = piece.mended_end_s
    first = stream.pieces[0] if stream.pieces else None
    if first is not None and first.damaged:
        following = stream.pieces[1]
        first.shift_s = following.start_s + following.shift_s - first.length_s - first.start_s
