"""Arrays on the GPU, and the rows the chain moves in them without the host.

``take`` and ``place`` copy nothing: they say what is to be copied, and the graph that gets them
does it straight into its input. Letters: B clips, N segments of the longest, S present ones of all,
F features.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from runtime.arrays import HOST, Array
from runtime.cuda.cudart import Cuda
from runtime.cuda.layout import Run, Shape, box_runs, cut_runs, place_runs, take_runs
from runtime.cuda.memory import Block, Buffer, HostBuffer, Pool
from runtime.cuda.streams import Event, Stream

LEAST_STAGING_BYTES = 1 << 16


@dataclass
class Box:
    """A place for values on the GPU: memory, how it is laid out and of what type."""

    buffer: Buffer
    shape: Shape
    dtype: np.dtype[Any]

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class DeviceArray:
    """Values on the GPU, in a box that may be larger than they are."""

    def __init__(self, box: Box, shape: Shape) -> None:
        self.box = box
        self._shape = shape

    @property
    def shape(self) -> Shape:
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.box.dtype

    def move(self, pool: Pool, what: str) -> None:
        """To memory of its own, before its box is written again. ``pool`` is the box's stream's."""
        stream = pool.stream
        target = Box(pool.lease(self.box.size_bytes, what), self.box.shape, self.dtype)
        stream.copy(target.buffer.address, self.box.buffer.address, self.box.size_bytes)
        event = Event(pool.cuda)
        stream.record(event)
        target.buffer.block.ready = event
        self.box = target


@dataclass(frozen=True)
class Taken:
    """``source[rows]``, to be copied."""

    source: DeviceArray
    rows: NDArray[np.intp]

    @property
    def shape(self) -> Shape:
        return (len(self.rows), *self.source.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.source.dtype


@dataclass(frozen=True)
class Placed:
    """Rows of ``parts`` where ``mask`` is true, zeros elsewhere, to be copied."""

    parts: tuple[DeviceArray, ...]
    mask: NDArray[np.bool_]

    @property
    def shape(self) -> Shape:
        return (*self.mask.shape, *self.parts[0].shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.parts[0].dtype


OnDevice: TypeAlias = DeviceArray | Taken | Placed


@dataclass
class Filling:
    """Copies arrays that are on the GPU into boxes, on one stream.

    Attributes:
        read: the blocks of other streams that were read.
    """

    stream: Stream
    read: dict[int, Block] = field(default_factory=dict)

    def fill(self, box: Box, array: OnDevice) -> None:
        """Copy ``array`` to the origin of ``box``, zeros beyond it. The box is this stream's."""
        if box.shape != array.shape or (isinstance(array, Placed) and not array.mask.all()):
            self.stream.clear(box.buffer.address, box.size_bytes)
        if isinstance(array, DeviceArray):
            self._copy(box, array, box_runs(array.shape, array.box.shape, box.shape))
        elif isinstance(array, Taken):
            self._copy_rows(box, array.source, take_runs(array.rows), box.shape[1:])
        else:
            runs, first = list(place_runs(array.mask, box.shape[1])), 0
            for part in array.parts:
                count = part.shape[0]
                self._copy_rows(box, part, cut_runs(runs, first, count), box.shape[2:])
                first += count

    def done(self, event: Event) -> None:
        """Record ``event`` for the owners of what was read."""
        if self.read:
            self.stream.record(event)
            for block in self.read.values():
                block.readers[self.stream.name] = event

    def _copy_rows(self, box: Box, source: DeviceArray, rows: Iterable[Run], row: Shape) -> None:
        """Copy whole rows, ``row`` their shape in the target."""
        self._copy(box, source, _in_values(source, rows, row))

    def _copy(self, box: Box, source: DeviceArray, runs: Iterable[Run]) -> None:
        block = source.box.buffer.block
        if block.owner is not self.stream and id(block) not in self.read:
            block.before_reading(self.stream)
            self.read[id(block)] = block
        size, target = box.dtype.itemsize, box.buffer.address
        assert box.dtype == source.dtype  # the graphs of a bundle agree; Bundle.load has seen to it
        for run in runs:
            start = (target if run.within_target else block.address) + run.source * size
            self.stream.copy(target + run.target * size, start, run.count * size)


def _in_values(source: DeviceArray, rows: Iterable[Run], row: Shape) -> Iterator[Run]:
    shape, box = source.shape[1:], source.box.shape[1:]
    size = math.prod(row)
    for run in rows:
        if box == row or run.within_target:
            yield run.scaled(size)
            continue
        step = math.prod(box)
        for index in range(run.count):
            for part in box_runs(shape, box, row):
                yield Run(
                    (run.source + index) * step + part.source,
                    (run.target + index) * size + part.target,
                    part.count,
                )


class DeviceArrays:
    """``runtime.arrays.ArrayOps`` for arrays on the GPU; NumPy arrays are taken as well.

    Args:
        lock: that of the graphs whose arrays these are.
    """

    def __init__(self, cuda: Cuda, lock: threading.RLock) -> None:
        self._cuda = cuda
        self._lock = lock
        self._staging: HostBuffer | None = None

    def take(self, array: Array, rows: NDArray[np.intp]) -> Array:
        """See ``runtime.arrays.ArrayOps``. What is on the GPU stays there."""
        if not isinstance(array, DeviceArray):
            return HOST.take(self.to_host(array), rows)
        if len(rows) == array.shape[0] and np.array_equal(rows, np.arange(len(rows))):
            return array
        return Taken(array, rows)

    def place(self, parts: Sequence[Array], mask: NDArray[np.bool_]) -> Array:
        """See ``runtime.arrays.ArrayOps``. What is on the GPU stays there; a mixture with NumPy
        arrays is put together on the host."""
        found = [part for part in parts if isinstance(part, DeviceArray)]
        if len(found) == len(parts):
            return Placed(tuple(found), mask)
        return HOST.place([self.to_host(part) for part in parts], mask)

    def to_host(self, array: Array) -> NDArray[Any]:
        """See ``runtime.arrays.ArrayOps``. Waits for what computes the array.

        Raises:
            MerEdgeError: the work on the GPU failed, or there is no memory for the values.
        """
        if isinstance(array, np.ndarray):
            return array
        if isinstance(array, Taken):
            return HOST.take(self.to_host(array.source), array.rows)
        if isinstance(array, Placed):
            return HOST.place([self.to_host(part) for part in array.parts], array.mask)
        assert isinstance(array, DeviceArray)
        return self._fetch(array)

    def _fetch(self, array: DeviceArray) -> NDArray[Any]:
        with self._lock:  # a run in another thread may be about to move the array
            box = array.box
            stream = box.buffer.block.owner
            if self._staging is None or self._staging.size_bytes < box.size_bytes:
                size = max(LEAST_STAGING_BYTES, box.size_bytes)
                what = "fetching a result"
                self._staging = HostBuffer(self._cuda, (size,), np.dtype(np.uint8), what)
            stream.copy_out(self._staging.address, box.buffer.address, box.size_bytes)
            stream.synchronize()
            values = self._staging.array[: box.size_bytes].view(box.dtype).reshape(box.shape)
            fetched: NDArray[Any] = values[tuple(slice(size) for size in array.shape)].copy()
            return fetched
