"""The runs of a stream's time stamps, each with the place where it belongs, and what follows."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mer_edge.media.stamps import BREAK_S, Run, StampLog


@dataclass(frozen=True)
class StampMend:
    """Other time stamps for the packets of one stream; an empty one changes nothing."""

    shifts: tuple[tuple[int, int], ...] = ()
    """(number of a packet in its stream, time bases to add from there on), in order."""
    undated: frozenset[int] = frozenset()
    """Numbers of packets whose time of presentation is not to be believed."""

    def __bool__(self) -> bool:
        return bool(self.shifts or self.undated)

    def applied(self, packets: Iterator[Any]) -> Iterator[Any]:
        """The same packets, all of the stream from its first on, with the right times."""
        starts = [start for start, _ in self.shifts]
        number = 0
        for packet in packets:
            if packet.size:
                self._mend(packet, bisect_right(starts, number) - 1)
                if number in self.undated:
                    packet.pts = None
                number += 1
            yield packet

    def _mend(self, packet: Any, index: int) -> None:
        shift = self.shifts[index][1] if index >= 0 else 0
        if not shift:
            return
        if packet.pts is not None:
            packet.pts += shift
        if packet.dts is not None:
            packet.dts += shift


UNCHANGED = StampMend()


@dataclass(eq=False)
class Piece:
    """A run and where it belongs; times in seconds."""

    run: Run
    unit_s: float
    packets: int
    shift_s: float = 0.0
    damaged: bool = False

    @property
    def shift(self) -> int:
        """In time bases."""
        return round(self.shift_s / self.unit_s) if self.shift_s else 0

    @property
    def numbers(self) -> range:
        """Of its packets in the stream."""
        return range(self.run.number, self.run.number + self.packets)

    @property
    def start_s(self) -> float:
        return self.run.start * self.unit_s

    @property
    def length_s(self) -> float:
        return self.run.length * self.unit_s

    def gap_to(self, following: Piece, room_s: float = 0.0) -> float:
        """What lies between, apart from ``room_s``; negative where the times go back.

        They do not where the next piece begins before the length of this one's last packet is over.
        """
        begins_s = following.start_s - room_s
        return begins_s - min(
            max(begins_s, self.run.last * self.unit_s), self.start_s + self.length_s
        )

    @property
    def mended_end_s(self) -> float:
        return self.run.end * self.unit_s + self.shift_s


@dataclass(eq=False)
class MendedStream:
    """One stream's runs, in order, each with its place."""

    log: StampLog
    pieces: list[Piece] = field(default_factory=list)

    def __post_init__(self) -> None:
        runs = self.log.runs
        numbers = [run.number for run in runs] + [self.log.numbered]
        for run, number, following in zip(runs, numbers[:-1], numbers[1:], strict=True):
            self.pieces.append(Piece(run, self.log.time_base_s, following - number))

    @property
    def kept(self) -> list[Piece]:
        return [piece for piece in self.pieces if not piece.damaged]

    @property
    def first(self) -> float | None:
        """The least time of presentation, in time bases; None without one."""
        return min((start for start, _ in self._shown()), default=None)

    @property
    def end(self) -> float:
        """The greatest end of a packet, in time bases; 0 where all end before that."""
        return max([0.0, *(end for _, end in self._shown())])

    def _shown(self) -> Iterator[tuple[float, float]]:
        """From when to when each piece is seen or heard."""
        for piece in self.pieces:
            run = piece.run
            if self._is_undated(piece):
                yield run.start + piece.shift, run.end + piece.shift
            elif run.shown_from is not None:
                yield run.shown_from + piece.shift, run.shown_to + piece.shift

    def _is_undated(self, piece: Piece) -> bool:
        """Whether only its neighbours say when a damaged piece is shown.

        Which of a packet's two stamps was damaged is not known, and the decoder gives the frames in
        the order they are shown; only at the beginning there is none before to count on from.
        """
        return piece.damaged and self.log.reorders and piece is not self.pieces[0]

    def belies(self, start: float) -> bool:
        """Whether the stream has damage, and does not begin at ``start`` (in time bases)."""
        is_off = self.first is None or abs(start - self.first) * self.log.time_base_s > BREAK_S
        return is_off and (self.damaged_packets > 0 or bool(self.mend()))

    @property
    def damaged_packets(self) -> int:
        in_islands = {number for p in self.pieces if p.damaged for number in p.numbers}
        return len(in_islands | self.log.wrong)

    def mend(self) -> StampMend:
        """What a reader has to do."""
        shifts, last = [], 0
        undated = set(self.log.wrong)
        for piece in self.pieces:
            if piece.shift != last:
                last = piece.shift
                shifts.append((piece.run.number, last))
            if self._is_undated(piece):
                undated.update(piece.numbers)
        return StampMend(tuple(shifts), frozenset(undated))
