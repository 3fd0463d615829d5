"""When a segment is at its end: sound and pictures on one clock, and who is not waited for."""

from __future__ import annotations

from collections.abc import Collection

from mer_edge.media.sound import Chunk, Sound
from mer_edge.segments import SAMPLE_RATE_HZ, SEGMENT_HOP_SAMPLES, SEGMENT_S
from runtime.stream.pictures import Picture
from runtime.stream.sound import SoundTrack
from runtime.stream.window import TAIL_SAMPLES

PATIENCE_S = 1.0
"""How far one of sound and pictures may fall behind the other before it is not waited for."""


class Grid:
    """Collects sound and pictures until a segment has all that there will be of it.

    The end of a segment is where the sound says: pictures are of its middle and come earlier.

    Args:
        expects: ``audio``, ``visual`` or both: what the source has and the bundle uses.
        patience_s: how far one may fall behind the other before it is not waited for; it is again
            as soon as something of it comes.
    """

    def __init__(self, expects: Collection[str], patience_s: float = PATIENCE_S) -> None:
        self._expects = frozenset(expects)
        self._patience_s = patience_s
        self._idle: set[str] = set()
        self._pictures: dict[int, Picture | None] = {}
        self._seen_until_s = float("-inf")
        self.track = SoundTrack()
        self.next = 0
        """The segment that comes."""

    def add_sound(self, chunk: Chunk) -> None:
        """Sound in order; what is before the segment that comes is left out."""
        self.track.add(chunk)
        self._idle.discard("audio")

    def add_picture(self, segment: int, picture: Picture | None) -> None:
        """The picture of a segment's middle, None where there is none; too late is left out."""
        if segment >= self.next:
            self._pictures[segment] = picture
        self._idle.discard("visual")

    def settle_picture(self, segment: int, picture: Picture | None) -> None:
        """As ``add_picture``, where no frame has come to tell it: who is idle stays so."""
        if segment >= self.next:
            self._pictures[segment] = picture

    def saw_pictures(self, until_s: float) -> None:
        """Frames have come until ``until_s``."""
        self._seen_until_s = until_s

    @property
    def picture_is_known(self) -> bool:
        """Whether the coming segment's picture is here, or known to be missing."""
        return self.next in self._pictures

    def picture(self) -> Picture | None:
        """The coming segment's."""
        return self._pictures.get(self.next)

    def tail(self) -> Sound | None:
        """The first 240 samples of the coming segment, once they are there."""
        start = self.next * SEGMENT_HOP_SAMPLES
        if self.track.position < start + TAIL_SAMPLES:
            return None
        return self.track.peek(start, start + TAIL_SAMPLES)

    @property
    def due(self) -> bool:
        """Whether the coming segment is at its end."""
        end = (self.next + 1) * SEGMENT_HOP_SAMPLES
        end_s = (self.next + 1) * SEGMENT_S
        active = self._expects - self._idle
        heard = self.track.position >= end
        seen = self._seen_until_s >= end_s
        if active == {"audio"}:
            return heard
        if active == {"visual"}:
            return seen and self.picture_is_known
        if heard and self.picture_is_known:
            return True
        front_s = max(self.track.position / SAMPLE_RATE_HZ, self._seen_until_s)
        if front_s < end_s + self._patience_s:
            return False
        self._idle |= {"visual"} if heard else {"audio"}
        return True

    def take(self, samples: int = SEGMENT_HOP_SAMPLES) -> Sound:
        """The coming segment's sound; the one after it is the coming one then.

        Args:
            samples: how many it has, fewer than 15360 only at the end.
        """
        start = self.next * SEGMENT_HOP_SAMPLES
        self._pictures.pop(self.next, None)
        self.next += 1
        return self.track.take(start, start + samples)

    def restart(self, segment: int) -> None:
        """Go on with ``segment``: a gap lies before it."""
        self.track.take(0, segment * SEGMENT_HOP_SAMPLES)
        self.track.position = segment * SEGMENT_HOP_SAMPLES
        self._pictures.clear()
        self._idle.clear()
        self._seen_until_s = float("-inf")
        self.next = segment
