"""Memory of the GPU and page-locked memory of the host, kept and given out again.

A block belongs to one stream: only that stream writes it. Others read it after its ``ready`` event
and leave one of their own in ``readers``, which the owner waits for before it writes again. So a
block is safe to give out again as soon as nobody holds it, without waiting for the GPU.
"""

from __future__ import annotations

import ctypes
import math
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.cuda.cudart import Cuda, OutOfDeviceMemoryError
from runtime.cuda.streams import Event, Stream

ALIGNMENT_BYTES = 256
KEPT_BYTES = 64 << 20
"""Of blocks that nobody holds; more is given back."""


@dataclass(eq=False)
class Block:
    """Memory of the GPU."""

    address: int
    size_bytes: int
    owner: Stream
    ready: Event | None = None
    """After the owner's last write, for other streams."""
    readers: dict[str, Event] = field(default_factory=dict)
    """By the reading stream's name: after its last read."""

    def before_reading(self, stream: Stream) -> None:
        """Let what comes next on ``stream`` see what was written."""
        if stream is not self.owner and self.ready is not None:
            stream.wait(self.ready)

    def before_writing(self) -> None:
        """Let the owner's next write come after every read."""
        for event in self.readers.values():
            self.owner.wait(event)
        self.readers.clear()


class Buffer:
    """A lease on a block, which goes back when nobody holds the buffer."""

    def __init__(self, pool: Pool, block: Block) -> None:
        self._pool = pool
        self.block = block

    @property
    def address(self) -> int:
        return self.block.address

    def __del__(self) -> None:
        self._pool.take_back(self.block)


class Pool:
    """Blocks of one stream.

    Args:
        cuda: gives the memory.
        stream: that owns it.
    """

    def __init__(self, cuda: Cuda, stream: Stream) -> None:
        self.cuda = cuda
        self.stream = stream
        self._free: dict[int, list[Block]] = defaultdict(list)
        self._kept_bytes = 0
        self._lock = threading.RLock()  # a buffer may be let go anywhere, in here too

    def lease(self, size_bytes: int, what: str) -> Buffer:
        """Memory of at least ``size_bytes``, aligned to 256 bytes.

        Args:
            what: it is for, for the message.

        Raises:
            OutOfDeviceMemoryError: also without what is kept here there is not enough.
        """
        size = max(1, -(-size_bytes // ALIGNMENT_BYTES)) * ALIGNMENT_BYTES
        with self._lock:
            if self._free[size]:
                self._kept_bytes -= size
                block = self._free[size].pop()
                block.before_writing()  # whoever let go of it may have given it to be read
                return Buffer(self, block)
        try:
            address = self.cuda.malloc(size, what)
        except OutOfDeviceMemoryError:
            if not self._kept_bytes:
                raise
            self.trim()
            address = self.cuda.malloc(size, what)
        return Buffer(self, Block(address, size, self.stream))

    def take_back(self, block: Block) -> None:
        """Keep a block for the next lease of its size."""
        with self._lock:
            if self._kept_bytes + block.size_bytes <= KEPT_BYTES:
                self._free[block.size_bytes].append(block)
                self._kept_bytes += block.size_bytes
                return
        self.cuda.free(block.address)

    def trim(self) -> None:
        """Give back to the GPU what nobody holds."""
        with self._lock:
            blocks = [block for found in self._free.values() for block in found]
            self._free.clear()
            self._kept_bytes = 0
        for block in blocks:
            self.cuda.free(block.address)


class HostBuffer:
    """Page-locked memory of the host, seen as an array.

    Attributes:
        array: its values.

    Raises:
        CudaError: there is not enough.
    """

    def __init__(self, cuda: Cuda, shape: tuple[int, ...], dtype: np.dtype[Any], what: str) -> None:
        self._cuda = cuda
        self.size_bytes = math.prod(shape) * dtype.itemsize
        self.address = cuda.malloc_host(max(1, self.size_bytes), what)
        raw = (ctypes.c_uint8 * self.size_bytes).from_address(self.address)
        self.array: NDArray[Any] = np.ctypeslib.as_array(raw).view(dtype).reshape(shape)

    def __del__(self) -> None:
        if hasattr(self, "address"):
            self._cuda.free_host(self.address)
