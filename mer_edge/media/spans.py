"""Which stretches of a source become clips: its utterances, or the whole, or windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mer_edge.errors import MerEdgeError
from mer_edge.segments import SEGMENT_S, segment_count
from mer_edge.text.source import TextFound
from mer_edge.text.subtitles import Utterance


@dataclass(frozen=True)
class Span:
    """One clip to be: a time range of the source and its text."""

    start_s: float
    end_s: float
    text: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def segments(self) -> int:
        return segment_count(self.end_s - self.start_s)

    def frame_times_s(self, per_segment: int = 1) -> list[float]:
        """The middles of ``per_segment`` equal parts of every segment, in the source's time."""
        times = []
        for segment in range(self.segments):
            start_s = self.start_s + segment * SEGMENT_S
            length_s = min(SEGMENT_S, self.end_s - start_s)
            times += [start_s + (k + 0.5) / per_segment * length_s for k in range(per_segment)]
        return times


def plan_spans(path: Path, duration_s: float, found: TextFound, window_s: float) -> Iterator[Span]:
    """One span per utterance; without utterances the whole source. None is much over a window.

    Args:
        path: the source, for messages.
        duration_s: of the source.
        found: its text.
        window_s: longer stretches are cut to windows of this length, to whole segments.

    Raises:
        MerEdgeError: an utterance starts after the end of the source.
    """
    if found.utterances is None:
        yield from _windows(Span(0.0, duration_s, found.text), window_s)
        return
    _check_utterances(path, duration_s, found.utterances, found.origin)
    for utterance in found.utterances:
        notes: tuple[str, ...] = ()
        if utterance.end_s > duration_s:
            notes = (
                f"The utterance ends at {utterance.end_s:.2f} s and was cut at the media's end, "
                f"{duration_s:.2f} s.",
            )
        end_s = min(utterance.end_s, duration_s)
        yield from _windows(Span(utterance.start_s, end_s, utterance.text, notes), window_s)


def part_of(
    path: Path, duration_s: float, start_s: float | None, end_s: float | None, text: str | None
) -> Span:
    """The one clip from ``start_s`` to ``end_s``; None is where the source starts or ends.

    Raises:
        MerEdgeError: it starts after the end of the source.
    """
    begin_s = start_s or 0.0
    if begin_s >= duration_s:
        raise MerEdgeError(
            f"{path}: the clip starts at {begin_s:g} s, but the media is {duration_s:.2f} s long; "
            "expected a start within the media; correct the start"
        )
    stop_s = duration_s if end_s is None else end_s
    notes: tuple[str, ...] = ()
    if stop_s > duration_s:
        notes = (f"The clip ends at {stop_s:.2f} s and was cut at {duration_s:.2f} s.",)
    return Span(begin_s, min(stop_s, duration_s), text, notes)


def _check_utterances(
    path: Path, duration_s: float, utterances: Sequence[Utterance], origin: str
) -> None:
    for number, utterance in enumerate(utterances, 1):
        if utterance.start_s >= duration_s:
            raise MerEdgeError(
                f"{path}: cue {number} of {origin} ('{utterance.text[:40]}') starts at "
                f"{utterance.start_s:.2f} s, but the media is {duration_s:.2f} s long; expected "
                "cues within the media; name the subtitles of this file, or use --no-text"
            )


def _windows(span: Span, window_s: float) -> Iterator[Span]:
    """Cut a span that is longer than a window; less than half a segment is not cut off."""
    step_s = segment_count(window_s) * SEGMENT_S
    length_s = span.end_s - span.start_s
    count = max(1, int((length_s - SEGMENT_S / 2) / step_s) + 1)
    if count == 1:
        yield span
        return
    for number in range(count):
        start_s = span.start_s + number * step_s
        end_s = span.end_s if number == count - 1 else span.start_s + (number + 1) * step_s
        note = f"Window {number + 1} of {count}: {length_s:.2f} s were cut every {step_s:g} s."
        notes = (*span.notes, note)
        if span.text is not None:
            notes = (*notes, "The same text stands for every window: its times are not known.")
        yield Span(start_s, end_s, span.text, notes)
