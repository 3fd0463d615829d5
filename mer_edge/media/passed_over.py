"""Where FFmpeg has passed over a part of a file without a word.

One byte lost in a Matroska file makes the rest of its cluster, five seconds, unreadable; FFmpeg
goes on at the next one. What is left looks like a picture that stood still, as those of slides and
recorded screens do. The bytes tell the two apart: nothing lies between frames but their headers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MAX_STALE_S = 0.5
"""How long a frame may stand for lost ones after it: half a segment."""
IN_ORDER_FORMATS = frozenset({"matroska", "flv"})
"""Containers whose packets lie one behind the other, in the order in which they are read."""
MIN_BYTES = 4096
"""Headers, and what some recorders put between the clusters, are shorter."""


@dataclass(frozen=True)
class Hole:
    """A part of the picture that is not there."""

    start_s: float
    """Of the last frame before it, in the container's time, as ``end_s``."""
    end_s: float
    """Of the first frame after it."""
    size_bytes: int
    """What was passed over."""


class PassedOver:
    """Told of every packet of a file, in the order of reading.

    Args:
        container: PyAV's.
        video: its stream whose picture is looked at; None for none.
        frame_s: how long a frame of it is shown.
    """

    def __init__(self, container: Any, video: Any | None, frame_s: float) -> None:
        in_order = not IN_ORDER_FORMATS.isdisjoint(container.format.name.split(","))
        self._video = video.index if video is not None and in_order else None
        self._longest_s = frame_s + MAX_STALE_S
        self._place: int | None = None
        self._end = 0
        self._bytes = 0
        self._shown_s: float | None = None
        self._holes: list[Hole] = []

    def add(self, packet: Any) -> None:
        """The next packet."""
        if self._video is None:
            return
        place, size = packet.pos, packet.size
        if place is not None and place >= 0:
            if place == self._place:  # several in one block
                size += self._end - place
            elif self._place is not None and place - self._end >= MIN_BYTES:
                self._bytes += place - self._end
            self._place, self._end = place, place + size
        if packet.stream_index == self._video and packet.pts is not None:
            self._add_frame(float(packet.pts * packet.time_base))

    def _add_frame(self, start_s: float) -> None:
        shown_s = self._shown_s
        if shown_s is None:
            self._shown_s, self._bytes = start_s, 0
            return
        if self._bytes and start_s - shown_s > self._longest_s:
            self._holes.append(Hole(shown_s, start_s, self._bytes))
        self._shown_s, self._bytes = max(shown_s, start_s), 0

    def notes(self, origin_s: float) -> tuple[str, ...]:
        """What the user should know of it.

        Args:
            origin_s: the container's time that is time 0 of the media.
        """
        if not self._holes:
            return ()
        size_mb = sum(hole.size_bytes for hole in self._holes) / 1e6
        return (
            f"The file is damaged: {size_mb:.2g} MB of it could not be read, and with it the "
            f"picture {_places(self._holes, origin_s)}.",
        )


def _places(holes: Sequence[Hole], origin_s: float) -> str:
    first = f"from {holes[0].start_s - origin_s:.2f} to {holes[0].end_s - origin_s:.2f} s"
    if len(holes) == 1:
        return first
    lost_s = sum(hole.end_s - hole.start_s for hole in holes)
    return f"in {len(holes)} places, first {first}, {lost_s:.1f} s in all"
