"""A live source read in a thread of its own, opened again where it is lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mer_edge.errors import MerEdgeError
from mer_edge.media.container import choose_stream
from runtime.stream.aside import aside
from runtime.stream.clock import Pacer
from runtime.stream.connection import Connection
from runtime.stream.counts import StreamCounts
from runtime.stream.inbox import BackItem, Closed, EndItem, GapItem, Inbox, now_s
from runtime.stream.source import Source, index_at_the_end, open_source

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 10.0
"""Between two attempts: half a second, twice as long each time, and at most this."""
PLAYLISTS = ("hls", "dash")
"""FFmpeg's formats of lists that may grow."""


class LiveReader:
    """Reads a source as it comes.

    Args:
        wanted: which of ``audio`` and ``visual`` somebody needs.
        attempts: how often in a row a lost source is opened again; may be infinite.
        paced: let a recording arrive as slowly as it was recorded.

    Raises:
        MerEdgeError: the source cannot be opened.
    """

    def __init__(
        self, source: Source, wanted: tuple[str, ...], *, attempts: float, paced: bool = False
    ) -> None:
        self._source = source
        self._wanted = wanted
        self._attempts = attempts
        self.pacer = Pacer() if paced else None
        """Knows when a paced recording began."""
        self._container = aside(lambda: open_source(source), _close)
        self._is_indexed = "mov" in self._container.format.name.split(",")
        self.is_recording = source.kind == "file" or _says_its_length(self._container)
        """Whether it was recorded before: then its end is the end, and it can wait for us."""

    @property
    def expects(self) -> set[str]:
        """What of ``audio`` and ``visual`` the source has."""
        kinds = {"audio": "audio", "visual": "video"}
        return {
            name for name, kind in kinds.items() if choose_stream(self._container, kind) is not None
        }

    @property
    def may_have_subtitles(self) -> bool:
        """Whether there may be text in it; raw data is not opened as something else to see."""
        return bool(self._container.streams.subtitles)

    def read(self, inbox: Inbox, counts: StreamCounts) -> None:
        """Put what comes into the inbox, an ``EndItem`` last.

        Raises:
            Closed: nobody takes any more.
        """
        connection = self._connect(self._container, inbox, counts, 0.0)
        tries = 0
        while True:
            why = connection.read()
            lost_s, end_s = now_s() - connection.silent_s, connection.end_s
            tries = 0 if connection.gave_frames else tries
            if why is None and (self.is_recording or not self._source.can_return):
                inbox.put(EndItem(end_s))
                return
            why = why or "it ended"
            if self.is_recording or not self._source.can_return:
                inbox.put(EndItem(end_s, self._broke_off(why, connection)))
                return
            inbox.put(GapItem(end_s))
            container, tries = self._reopen(inbox, tries)
            if container is None:
                inbox.put(EndItem(error=self._gone(why, tries)))
                return
            counts.reconnects += 1
            base_s = end_s + now_s() - lost_s
            inbox.put(BackItem(base_s))
            connection = self._connect(container, inbox, counts, base_s)

    def close(self) -> None:
        """The container is closed by whoever reads it."""

    def _connect(
        self, container: Any, inbox: Inbox, counts: StreamCounts, base_s: float
    ) -> Connection:
        return Connection(
            container,
            inbox,
            counts,
            self._wanted,
            base_s=base_s,
            pacer=self.pacer,
            aligns=not self.is_recording,
        )

    def _reopen(self, inbox: Inbox, tries: int) -> tuple[Any, int]:
        """The source opened again, or None; and the attempts since it last gave anything."""
        for delay_s in _delays(tries):
            if tries >= self._attempts:
                return None, tries
            tries += 1
            if inbox.wait_closed(delay_s):
                raise Closed
            try:
                return open_source(self._source), tries
            except MerEdgeError:
                continue
        raise AssertionError  # the delays do not end

    def _broke_off(self, why: str, connection: Connection) -> MerEdgeError:
        if self._source.kind != "file" and self._is_indexed and not connection.gave_packets:
            return index_at_the_end(self._source)
        if not connection.gave_frames:
            return MerEdgeError(
                f"{self._source.name}: there is nothing to decide on ({why}); expected sound or "
                "pictures; check what writes it, or say what it is with --stream-format"
            )
        return MerEdgeError(
            f"{self._source.name}: the source broke off ({why}); expected more of it; the "
            "decisions until then stand; check what writes it"
        )

    def _gone(self, why: str, tries: int) -> MerEdgeError:
        return MerEdgeError(
            f"{self._source.name}: the source was lost ({why}) and did not come back in {tries} "
            "attempts; expected it to go on; the decisions until then stand; check the device or "
            "the network, or raise --reconnect"
        )


def _close(container: Any) -> None:
    container.close()


def _delays(tries: int) -> Iterator[float]:
    while True:
        yield min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(tries, 10))
        tries += 1


def _says_its_length(container: Any) -> bool:
    if container.format.name in PLAYLISTS:  # the size is that of the list
        return container.duration is not None
    try:
        return int(container.size) > 0
    except (AttributeError, TypeError, ValueError):
        return False
