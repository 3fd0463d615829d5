"""Cues of a subtitle track, in any order and shape, made into utterances that follow each other."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass, replace

from mer_edge.errors import MerEdgeError
from mer_edge.text.utf8 import has_words

MAX_OVERLAP_S = 0.04
"""One frame at 25 frames/s: what rounding times to frames does to cues that touch."""


@dataclass(frozen=True)
class Utterance:
    """What is said from ``start_s`` to ``end_s``, in seconds from the start of the media."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class Cue:
    """One cue as its file has it."""

    number: int
    """Its place in the file, from 1."""
    start_s: float
    end_s: float
    text: str

    def __str__(self) -> str:
        return f"cue {self.number} ({clock(self.start_s)} to {clock(self.end_s)})"


def plain_text(markup: str) -> str:
    """The words of a cue in SubStation markup: no tags, entities resolved, spaces for newlines."""
    from pysubs2 import SSAEvent

    event = SSAEvent(text=markup)
    return "" if event.is_drawing else " ".join(html.unescape(event.plaintext).split())


def follow(cues: Iterable[Cue], source: str, instead: str) -> list[Utterance]:
    """Sort cues into utterances, leaving out those without words.

    A cue that runs up to 0.04 s into the next one is cut there: that is rounding.

    Args:
        source: what the cues come from, for messages.
        instead: what a user can do who does not want to mend the cues, for messages.

    Raises:
        MerEdgeError: a cue does not end after it starts, or two of them overlap.
    """
    ordered = sorted(
        (cue for cue in cues if has_words(cue.text)), key=lambda cue: (cue.start_s, cue.end_s)
    )
    kept: list[Cue] = []
    for cue in ordered:
        if cue.end_s <= cue.start_s:
            raise MerEdgeError(
                f"{source}: {cue} does not end after it starts; "
                f"expected an end later than the start; correct its times{instead}"
            )
        if kept and cue.start_s < kept[-1].end_s:
            kept[-1] = _cut(kept[-1], cue, source, instead)
        kept.append(cue)
    return [Utterance(cue.start_s, cue.end_s, cue.text) for cue in kept]


def _cut(cue: Cue, following: Cue, source: str, instead: str) -> Cue:
    overlap_s = cue.end_s - following.start_s
    # Half a millisecond of tolerance: the times are multiples of 1 ms held as binary fractions.
    if overlap_s > MAX_OVERLAP_S + 0.0005 or following.start_s <= cue.start_s:
        raise MerEdgeError(
            f"{source}: {cue} and {following} overlap by {overlap_s:.3f} s; expected one utterance "
            f"at a time; join the two into one cue or correct their times{instead}"
        )
    return replace(cue, end_s=following.start_s)


def clock(seconds: float) -> str:
    """
    >>> clock(3723.5)
    '01:02:03.500'
    """
    total_ms = round(seconds * 1000)
    sign = "-" if total_ms < 0 else ""
    minutes, ms = divmod(abs(total_ms), 60_000)
    return f"{sign}{minutes // 60:02d}:{minutes % 60:02d}:{ms // 1000:02d}.{ms % 1000:03d}"
