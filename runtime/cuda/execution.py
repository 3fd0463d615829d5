"""What an engine is to the chain on the GPU: something that binds a graph to memory and runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from runtime.cuda.device_arrays import Box
from runtime.cuda.streams import Stream

Replay = Literal["none", "stream", "own"]
"""CUDA graphs: none; captured from the stream by ``runtime.cuda.slot``; the engine's own."""


class Execution(Protocol):
    """A graph at fixed shapes, reading and writing fixed places. It keeps the boxes alive."""

    def enqueue(self, stream: Stream) -> None:
        """Put one run on ``stream``.

        Raises:
            MerEdgeError: the engine failed.
        """
        ...


class DeviceEngine(Protocol):
    """A graph that is loaded on the GPU."""

    @property
    def title(self) -> str:
        """What runs it, for example ``TensorRT 10.3.0 on Orin``."""
        ...

    @property
    def replay(self) -> Replay:
        """How its runs become CUDA graphs."""
        ...

    def bind(self, inputs: Mapping[str, Box], outputs: Mapping[str, Box]) -> Execution:
        """Fix shapes and addresses.

        Raises:
            MerEdgeError: the engine was not made for these shapes, or has no memory left.
        """
        ...
