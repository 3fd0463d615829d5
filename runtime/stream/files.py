"""A file or a directory of frames as a stream: the offline readers, segment by segment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mer_edge.clips import ClipOptions
from mer_edge.media.frames import Picture as ReadPicture
from mer_edge.media.sound import Chunk, Sound
from mer_edge.media.source import Media, open_media
from mer_edge.segments import SAMPLE_RATE_HZ, SEGMENT_S, segment_count
from runtime.stream.counts import StreamCounts
from runtime.stream.inbox import EndItem, Inbox, PictureItem, SoundItem, now_s
from runtime.stream.pictures import Pixels


class FileReader:
    """Reads as fast as decisions are made, and drops nothing.

    Args:
        wanted: which of ``audio`` and ``visual`` the bundle uses.
        listens: whether sound is wanted to be transcribed.
    """

    def __init__(
        self, path: Path, options: ClipOptions, wanted: tuple[str, ...], listens: bool
    ) -> None:
        self._wanted = wanted
        self._listens = listens
        hwaccel = options.hwaccel if "visual" in wanted else None
        self._opened = open_media(path, options.frame_rate_hz, hwaccel=hwaccel)
        self._media: Media = self._opened.__enter__()

    @property
    def expects(self) -> set[str]:
        """What of ``audio`` and ``visual`` the source has."""
        has = {"audio": self._media.sound, "visual": self._media.frames}
        return {name for name, reader in has.items() if reader is not None}

    @property
    def is_recording(self) -> bool:
        """Whether its end is the end."""
        return True

    @property
    def may_have_subtitles(self) -> bool:
        """Whether there may be text in it."""
        return True

    def read(self, inbox: Inbox, counts: StreamCounts) -> None:
        """Put everything into the inbox, an ``EndItem`` last.

        Raises:
            MerEdgeError: the source cannot be read on.
            Closed: nobody takes any more.
        """
        duration_s = self._media.duration_s
        for segment in range(segment_count(duration_s)):
            start_s = segment * SEGMENT_S
            end_s = min(start_s + SEGMENT_S, duration_s)
            if "visual" in self._wanted and self._media.frames is not None:
                found = self._media.frames.picture_at(start_s + (end_s - start_s) / 2)
                inbox.put(PictureItem(segment, _pixels(found)))
            if self._media.sound is not None and ("audio" in self._wanted or self._listens):
                for chunk in _chunks(self._media.sound.read(start_s, end_s), start_s):
                    inbox.put(SoundItem(chunk, now_s()))
            self._media.check_damage()
            counts.remarks = self._media.notes()
        inbox.put(EndItem(duration_s))

    def close(self) -> None:
        """Close the file."""
        self._opened.__exit__(None, None, None)


def _pixels(found: ReadPicture | None) -> Pixels | None:
    return None if found is None else Pixels(found.pixels)


def _chunks(sound: Sound, start_s: float) -> Iterator[Chunk]:
    """The stretches that have sound; an empty one at the end says that there is no more of it."""
    start = round(start_s * SAMPLE_RATE_HZ)
    edges = np.flatnonzero(np.diff(sound.covered, prepend=False, append=False))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        yield Chunk(start + int(first), sound.samples[first:last])
    yield Chunk(start + len(sound.samples), np.zeros(0, np.float32))
