"""Decoding one stream of a file from its start to its end, past packets that are damaged."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from mer_edge.errors import MerEdgeError
from mer_edge.media.container import READ_ERRORS, check_room, open_container
from mer_edge.media.pieces import UNCHANGED, StampMend
from mer_edge.media.stopping import check_stopped


@dataclass
class DecodeCount:
    """What happened so far while decoding a stream."""

    packets: int = 0
    failed: int = 0
    """Packets that could not be decoded."""
    frames: int = 0
    flawed: int = 0
    """Frames that the decoder marks as damaged."""

    def note(self, kind: str) -> tuple[str, ...]:
        """A sentence for the user if anything went wrong; ``kind`` is ``video`` or ``audio``."""
        parts = []
        if self.failed:
            parts.append(f"{self.failed} of {self.packets} {kind} packets could not be decoded")
        if self.flawed:
            parts.append(f"{self.flawed} of {self.frames} {kind} frames are damaged")
        return (f"Read so far: {', '.join(parts)}.",) if parts else ()

    def check(self, path: Path, kind: str, codec: str) -> None:
        """Refuse a stream that mostly fails.

        Raises:
            MerEdgeError: half of the packets or more could not be decoded.
        """
        if self.failed >= max(1, self.packets / 2):
            raise MerEdgeError(
                f"{path}: {self.failed} of {self.packets} packets of its {kind} stream ({codec}) "
                "could not be decoded; expected a stream without damage, or with little; "
                "copy the file again"
            )


_threads = 0


def set_decode_threads(count: int) -> None:
    """How many threads decode a stream in this process from now on; 0: one per core.

    What is decoded is the same. As ``cv2.setNumThreads`` for who runs a process per core.
    """
    global _threads
    _threads = count


def decode_threads() -> int:
    """What :func:`set_decode_threads` has set."""
    return _threads


def decode_stream(
    path: Path, index: int, count: DecodeCount, mend: StampMend = UNCHANGED
) -> Generator[Any, None, None]:
    """Yield the frames of stream ``index`` in the order of presentation, ``count`` kept current.

    The file stays open until the generator ends or is closed. A packet that fails is counted and
    left out; what follows it is decoded as far as it can be.
    """
    with open_container(path) as container:
        stream = threaded_stream(container, index)
        for packet in stream_packets(container, stream, mend):
            yield from decode_packet(packet, count)


def threaded_stream(container: Any, index: int) -> Any:
    """Stream ``index``, to be decoded by as many threads as :func:`set_decode_threads` says."""
    stream = container.streams[index]
    stream.thread_type = "AUTO"
    stream.thread_count = _threads
    return stream


def stream_packets(container: Any, stream: Any, mend: StampMend) -> Iterator[Any]:
    """The stream's packets, mended; a container that breaks off in the middle just ends."""
    packets = container.demux(stream)
    try:
        yield from mend.applied(packets) if mend else packets
    except READ_ERRORS as error:
        check_room(error, container.name)
        return


def decode_packet(packet: Any, count: DecodeCount) -> list[Any]:
    """The frames that come out of the decoder with ``packet``; ``count`` is kept current.

    Raises:
        Stopped: nobody waits for them any more.
        MerEdgeError: there is no memory for it.
    """
    check_stopped()
    count.packets += bool(packet.size)
    try:
        frames: list[Any] = packet.decode()
    except (av.FFmpegError, ValueError) as error:
        check_room(error, packet.stream.container.name)
        count.failed += 1
        return []
    count.frames += len(frames)
    count.flawed += sum(bool(frame.is_corrupt) for frame in frames)
    return frames
