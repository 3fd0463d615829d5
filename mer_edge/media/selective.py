"""Decoding a video stream as far as its frames are looked at, and no more."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import av

from mer_edge.media.container import open_container
from mer_edge.media.decode import DecodeCount, decode_packet, stream_packets, threaded_stream
from mer_edge.media.hardware import check_on_device
from mer_edge.media.lookahead import Lookahead
from mer_edge.media.scan import StreamSpan


class SelectiveDecoder:
    """The frames of one stream in the order they are shown, without those nobody looks at.

    The file stays open until this is closed.

    Raises:
        MerEdgeError: the video cannot be decoded on a device of the kind ``hwaccel``.
    """

    def __init__(
        self,
        path: Path,
        span: StreamSpan,
        origin_s: float,
        count: DecodeCount,
        hwaccel: str | None = None,
    ) -> None:
        self._closing = ExitStack()
        container = self._closing.enter_context(open_container(path, hwaccel))
        self._stream = threaded_stream(container, span.index)
        if hwaccel is not None:
            check_on_device(path, self._stream, hwaccel)
        self._count = count
        self._out: deque[Any] = deque()
        packets = stream_packets(container, self._stream, span.mend)
        self.lookahead = Lookahead(packets, self._stream, origin_s)
        self.ended = False
        """Whether every frame has come out."""

    def next_frame(self, times_s: Sequence[float]) -> Any | None:
        """The next frame; None at the end. Frames not shown at ``times_s`` may be left out.

        Args:
            times_s: what is looked at from here on, in order; all that comes after the last of
                them is decoded too, because it may be asked for next.
        """
        while not self._out and not self.ended:
            self.decode_next(times_s)
        return self._out.popleft() if self._out else None

    def decode_next(self, times_s: Sequence[float]) -> None:
        """Decode one packet more; its frames, if they come out, are kept."""
        self.follow_jump()
        item = self.lookahead.pop()
        if item is None:
            self._drain()
            self.ended = True
            return
        needed = self.lookahead.is_looked_at(item, times_s)
        # Threads that decode frames beside each other take this over with each packet.
        self._stream.codec_context.skip_frame = "DEFAULT" if needed else "NONREF"
        self._out += decode_packet(item.packet, self._count)
        if needed and not self.lookahead.dense and self.lookahead.restarts_next():
            # Nothing refers back from here: get the frame out without feeding frames after it.
            self._drain()
            self._restart()

    def follow_jump(self) -> bool:
        """Forget what is still in the decoder if packets were left out since; whether it was so."""
        if not self.lookahead.jumped:
            return False
        self.lookahead.jumped = False
        self._out.clear()
        self._restart()
        return True

    def discard(self) -> None:
        """Let go of frames that have come out."""
        self._out.clear()

    def close(self) -> None:
        self._out.clear()
        self._closing.close()

    def _drain(self) -> None:
        last = av.Packet()
        last.time_base = self._stream.time_base
        last.stream = self._stream
        self._out += decode_packet(last, self._count)

    def _restart(self) -> None:
        context = self._stream.codec_context
        depth = getattr(context, "reorder_depth", None)
        context.flush_buffers()
        if depth is not None:
            # The decoder has learned it from the frames; anew it would let frames out too early.
            context.reorder_depth = depth
