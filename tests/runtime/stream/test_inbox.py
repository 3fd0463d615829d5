"""What does not fit: dropped and counted, or waited for."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from mer_edge.media.sound import Chunk
from runtime.stream.counts import StreamCounts
from runtime.stream.inbox import (
    MOST_PICTURES,
    MOST_SOUND_S,
    Closed,
    Inbox,
    PictureItem,
    SeenItem,
    SoundItem,
)
from runtime.stream.pictures import Pixels


def second(number: int) -> SoundItem:
    return SoundItem(Chunk(number * 16_000, np.zeros(16_000, np.float32)), 0.0)


def picture(segment: int) -> PictureItem:
    return PictureItem(segment, Pixels(np.zeros((2, 2, 3), np.uint8)))


def test_the_oldest_pictures_are_dropped_and_sound_is_not() -> None:
    counts = StreamCounts()
    inbox = Inbox(counts, lossless=False)
    for number in range(10):
        inbox.put(picture(number))
        inbox.put(second(number))
    items = [inbox.take(0.0) for _ in range(20)]
    pictures = [item for item in items if isinstance(item, PictureItem)]
    # Their segments are told all the same: nobody is to wait for them.
    assert [item.segment for item in pictures] == list(range(10))
    assert [item.picture is None for item in pictures] == [True] * 8 + [False] * MOST_PICTURES
    assert sum(isinstance(item, SoundItem) for item in items) == 10
    assert (counts.dropped_frames, counts.dropped_sound_s) == (8, 0.0)


def test_sound_is_dropped_only_beyond_half_a_minute() -> None:
    counts = StreamCounts()
    inbox = Inbox(counts, lossless=False)
    for number in range(40):
        inbox.put(second(number))
    first = inbox.take(0.0)
    assert isinstance(first, SoundItem)
    assert first.chunk.start == 10 * 16_000
    assert counts.dropped_sound_s == 40 - MOST_SOUND_S


def test_a_recording_waits() -> None:
    counts = StreamCounts()
    inbox = Inbox(counts, lossless=True)
    put: list[int] = []

    def read() -> None:
        for number in range(20):
            inbox.put(picture(number))
            put.append(number)

    thread = threading.Thread(target=read)
    thread.start()
    assert inbox.wait_closed(0.2) is False
    assert len(put) == MOST_PICTURES + 1
    taken = [inbox.take(5.0) for _ in range(20)]
    thread.join(5.0)
    assert all(isinstance(item, PictureItem) and item.picture for item in taken)
    assert counts.dropped_frames == 0


def test_who_waits_for_room_is_let_go() -> None:
    inbox = Inbox(StreamCounts(), lossless=True)
    told: list[bool] = []

    def read() -> None:
        try:
            for number in range(20):
                inbox.put(picture(number))
        except Closed:
            told.append(True)

    thread = threading.Thread(target=read)
    thread.start()
    inbox.close()
    thread.join(5.0)
    assert told == [True]


def test_only_the_newest_of_what_has_been_seen_is_kept() -> None:
    inbox = Inbox(StreamCounts(), lossless=False)
    for time_s in (1.0, 2.0, 3.0):
        inbox.put(SeenItem(time_s))
    assert inbox.take(0.0) == SeenItem(3.0)
    assert inbox.take(0.0) is None
    inbox.close()
    with pytest.raises(Closed):
        inbox.put(SeenItem(4.0))
