"""A stream's time stamps as its packets carry them, written down while a file is scanned.

In a right file the decoding times of a stream's packets never go back. Stretches of packets whose
times follow each other are kept as runs; an undamaged stream without a pause is one run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

BREAK_S = 0.5
"""A decoding time this far from where the packet before ends begins a new run: above what
containers jitter by, and half of a segment."""
MAX_REORDERED = 16
"""Frames that may be decoded before one that is shown before them (H.264 A.3.1, H.265 A.4.1)."""
MOST_WRONG_SHARE = 0.25
"""More presentation times than this that cannot be are a recorder's own notion, not damage."""
MANY_WRONG = 1000
"""So many are kept before that is asked."""
MAX_RUNS = 172_800
"""A day in pauses of half a second: more runs are not a pause each."""


@dataclass(slots=True)
class Run:
    """Packets of one stream whose decoding times follow each other. Times in time bases."""

    number: int
    """Of its first packet in the stream, from 0."""
    arrived: int
    """The number of its first packet among all that the file holds."""
    start: float
    """The decoding time of its first packet (of sound: when it is heard)."""
    end: float
    """Where the next packet belongs: the last one's time and length."""
    last: float
    """The time of the last packet. Its length may be damaged, too, or a recorder's guess."""
    shown_from: float | None = None
    shown_to: float = 0.0
    """The least time of presentation, and the greatest end of a packet."""
    beside: tuple[tuple[Run, float], ...] = ()
    """The runs that the other streams were in when this one began, and where: their end, then, in
    seconds."""

    @property
    def length(self) -> float:
        return self.end - self.start

    def show(self, start: float, duration: float) -> None:
        end = start + duration
        if self.shown_from is None:
            self.shown_from, self.shown_to = start, end
        else:
            self.shown_from = min(self.shown_from, start)
            self.shown_to = max(self.shown_to, end)


@dataclass(frozen=True, slots=True)
class _Doubted:
    """A packet that is shown late; what is decoded after it will say whether that can be."""

    run: Run
    number: int
    start: float
    duration: float


class StampLog:
    """The runs of one stream.

    Args:
        time_base_s: the unit of the stream's time stamps.
        default_duration: of a packet that does not say its own, in time bases.
        reorders: whether packets may be shown in another order than they come (video).
        strict: whether the container's standard bounds how far presentation may lie behind
            decoding (MPEG-TS and -PS do), so that a single stamp can be told to be wrong. In
            others one is wrong only in a stream that has other damage.
    """

    def __init__(
        self, time_base_s: float, default_duration: float, *, reorders: bool, strict: bool
    ) -> None:
        self.time_base_s = time_base_s
        self.runs: list[Run] = []
        self.packets = 0
        self.crowded = False
        """Whether there are more runs than a right file can have; the last one holds the rest."""
        self.numbered = 0
        """Packets so far, with those that are not to be shown."""
        self.reorders = reorders
        self.strict = strict
        self._default_duration = default_duration
        self._break = BREAK_S / time_base_s if time_base_s else float("inf")
        # MPEG-TS and -PS store no lengths: one that differs so much is read from damaged frames.
        is_guessed = strict and reorders and default_duration
        self._longest = MAX_REORDERED * default_duration if is_guessed else float("inf")
        self._early = self._break
        self._late = MAX_REORDERED * default_duration + self._break
        self.others: Sequence[StampLog] = ()
        """The logs of what is seen and heard with this stream."""
        self._run: Run | None = None
        self._doubted: list[_Doubted] = []
        self._refuted: list[_Doubted] = []
        self._dependent: list[tuple[_Doubted, Run]] = []

    def skip(self) -> None:
        """A packet that is not to be shown, or holds nothing."""
        self.numbered += 1

    def add(self, packet: Any, arrived: int) -> None:
        """Write down a packet, the ``arrived``-th of the file."""
        pts, dts, number = packet.pts, packet.dts, self.numbered
        duration = packet.duration or self._default_duration
        if duration > self._longest:
            duration = self._default_duration
        self.numbered += 1
        self.packets += 1
        ordered = dts if self.reorders or pts is None else pts
        start = dts if pts is None else pts
        run = self._run
        if run is None or not (
            ordered is None or run.last - self._break <= ordered <= run.end + self._break
        ):
            run = self._run = self._new_run(ordered, start, arrived)
        if ordered is not None:
            run.last, run.end = ordered, ordered + duration
        start = run.shown_to if start is None else start
        if self._doubted:
            self._settle(number)
        if ordered is None or pts is None or -self._early <= pts - ordered <= self._late:
            run.show(start, duration)
        elif pts < ordered:
            self._refute(_Doubted(run, number, start, duration))
        else:
            self._doubted.append(_Doubted(run, number, start, duration))

    def finish(self) -> None:
        """There is no packet more."""
        self._finish_count()
        if len(self._refuted) > MOST_WRONG_SHARE * self.packets:
            self.believe()

    def settle(self, is_one_count: Callable[[Run, Run], bool]) -> None:
        """Judge presentation times that only a later run makes possible.

        Args:
            is_one_count: whether two runs are right, and count from the same time on.
        """
        for doubted, witness in self._dependent:
            if not is_one_count(doubted.run, witness):
                self._refuted.append(doubted)
            else:
                doubted.run.show(doubted.start, doubted.duration)
        self._dependent = []

    def believe(self, until: float = float("inf")) -> None:
        """Take every time of presentation up to ``until``, in time bases, for right."""
        for refuted in self._refuted:
            if refuted.start <= until:
                refuted.run.show(refuted.start, refuted.duration)
        self._refuted = [refuted for refuted in self._refuted if refuted.start > until]

    @property
    def wrong(self) -> set[int]:
        """Numbers of packets whose time of presentation cannot be, while that of decoding can."""
        return {refuted.number for refuted in self._refuted}

    def _refute(self, doubted: _Doubted) -> None:
        self._refuted.append(doubted)
        if len(self._refuted) > max(MANY_WRONG, MOST_WRONG_SHARE * self.packets):
            self.believe()
            self._early = self._late = float("inf")

    def _finish_count(self) -> None:
        for doubted in self._doubted:
            self._judge(doubted, self.runs[-1].end + self._late)
        self._doubted = []

    def _new_run(self, ordered: float | None, stamp: float | None, arrived: int) -> Run:
        run = self.runs[-1] if self.runs else None
        if run is not None and len(self.runs) >= MAX_RUNS:
            self.crowded = True
            return run
        start = ordered if ordered is not None else stamp or 0.0
        if run is not None and start < run.last:
            self._finish_count()
        beside = tuple(
            (log.runs[-1], log.runs[-1].end * log.time_base_s) for log in self.others if log.runs
        )
        self.runs.append(Run(self.numbered - 1, arrived, start, start, start, beside=beside))
        return self.runs[-1]

    def _settle(self, number: int) -> None:
        """Judge the packets that must have been shown by now."""
        while self._doubted and self._doubted[0].number < number - MAX_REORDERED:
            self._judge(self._doubted.pop(0), self.runs[-1].end + self._break)

    def _judge(self, doubted: _Doubted, until: float) -> None:
        if doubted.start > until:
            self._refute(doubted)
        elif doubted.run is not self.runs[-1] and doubted.start > doubted.run.end + self._late:
            self._dependent.append((doubted, self.runs[-1]))
        else:
            doubted.run.show(doubted.start, doubted.duration)
