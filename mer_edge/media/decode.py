"""Decoding one stream of a file from its start to its end, past packets that are damaged."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from mer_edge.media.container import open_container


@dataclass
class DecodeCount:
    """What happened so far while decoding a stream."""

    packets: int = 0
    failed: int = 0
    """Packets that could not be decoded, or only into a damaged frame."""
    frames: int = 0


def decode_stream(path: Path, index: int, count: DecodeCount) -> Generator[Any, None, None]:
    """Yield the frames of stream ``index`` in the order of presentation, ``count`` kept current.

    The file stays open until the generator ends or is closed. A packet that fails is counted and
    left out; what follows it is decoded as far as it can be.
    """
    with open_container(path) as container:
        stream = container.streams[index]
        stream.thread_type = "AUTO"
        for packet in _packets(container, stream):
            count.packets += bool(packet.size)
            for frame in _decode_packet(packet, count):
                count.frames += 1
                yield frame


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """The stream's packets; a container that breaks off in the middle just ends."""
    try:
        yield from container.demux(stream)
    except (av.FFmpegError, OSError, ValueError):
        return


def _decode_packet(packet: Any, count: DecodeCount) -> list[Any]:
    try:
        frames: list[Any] = packet.decode()
    except (av.FFmpegError, ValueError):
        count.failed += 1
        return []
    count.failed += sum(bool(frame.is_corrupt) for frame in frames)
    return frames
