"""A shape bucket of a graph: fixed inputs and outputs, and the CUDA graph captured over them."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_edge.bundle import GraphSpec, TensorSpec
from mer_edge.errors import MerEdgeError
from runtime.cuda.buckets import Sizes, shape_at
from runtime.cuda.cudart import CudaError, Handle
from runtime.cuda.device_arrays import Box, DeviceArray, Filling, OnDevice
from runtime.cuda.execution import DeviceEngine
from runtime.cuda.layout import Shape
from runtime.cuda.memory import HostBuffer, Pool
from runtime.cuda.streams import Event


class Slot:
    """Runs a graph at one set of sizes.

    The first run warms the engine up; the second is captured, where the engine leaves that to us,
    and every later one launches what was captured.

    Args:
        name: of the graph, for messages.
        pool: of the stream that everything here runs on.
        sizes: by the name of the dimension.

    Raises:
        MerEdgeError: there is no memory, or the engine does not take the sizes.
    """

    def __init__(
        self, name: str, spec: GraphSpec, engine: DeviceEngine, pool: Pool, sizes: Sizes
    ) -> None:
        self._name = name
        self._pool = pool
        self._stream = pool.stream
        self._inputs = {tensor.name: self._box(tensor, sizes) for tensor in spec.inputs}
        self._outputs = {tensor.name: self._box(tensor, sizes) for tensor in spec.outputs}
        self._staging: dict[str, HostBuffer] = {}
        self._staged = Event(pool.cuda)
        self._given: list[weakref.ref[DeviceArray]] = []
        self._execution = engine.bind(self._inputs, self._outputs)
        self._capture = engine.replay == "stream"
        self._graph: Handle | None = None
        self._warm = False
        self.refusal = ""
        """Why no CUDA graph could be captured; empty while there is no reason."""

    def _box(self, tensor: TensorSpec, sizes: Sizes) -> Box:
        shape, dtype = shape_at(tensor, sizes), np.dtype(tensor.dtype)
        size_bytes = int(np.prod(shape)) * dtype.itemsize
        what = f"{tensor.name} {shape} of the {self._name} graph"
        return Box(self._pool.lease(size_bytes, what), shape, dtype)

    @property
    def replayed(self) -> bool:
        """Whether its runs are launches of a captured CUDA graph."""
        return self._graph is not None

    def write(self, feeds: Mapping[str, OnDevice | NDArray[Any]], consumed: Event) -> None:
        """Bring the inputs in, zeros beyond their ends; ``consumed`` is when others' are read."""
        from_host = {name: feed for name, feed in feeds.items() if isinstance(feed, np.ndarray)}
        if from_host:
            self._staged.synchronize()  # the run before may still be reading these places
            for name, values in from_host.items():
                self._upload(name, self._inputs[name], values)
            self._stream.record(self._staged)
        filling = Filling(self._stream)
        try:
            for name, feed in feeds.items():
                if not isinstance(feed, np.ndarray):
                    filling.fill(self._inputs[name], feed)
        finally:
            filling.done(consumed)

    def _upload(self, name: str, box: Box, values: NDArray[Any]) -> None:
        if name not in self._staging:
            what = f"sending {name} of the {self._name} graph"
            self._staging[name] = HostBuffer(self._pool.cuda, box.shape, box.dtype, what)
        staging = self._staging[name]
        if values.shape != box.shape:
            staging.array.fill(0)
        staging.array[tuple(slice(size) for size in values.shape)] = values
        self._stream.copy_in(box.buffer.address, staging.address, box.size_bytes)

    def run(self, ready: Event) -> None:
        """Put the run on the stream; ``ready`` is when the outputs are there.

        What an earlier run gave and somebody still holds is moved out of the way first.
        """
        for reference in self._given:
            array = reference()
            if array is not None:
                array.move(self._pool, f"keeping a result of the {self._name} graph")
        self._given = []
        for box in self._outputs.values():
            box.buffer.block.before_writing()
        self._launch()
        self._stream.record(ready)
        for box in self._outputs.values():
            box.buffer.block.ready = ready

    def give(self, shapes: Mapping[str, Shape]) -> dict[str, DeviceArray]:
        """The outputs, in the shapes that they really have."""
        arrays = {name: DeviceArray(box, shapes[name]) for name, box in self._outputs.items()}
        self._given = [weakref.ref(array) for array in arrays.values()]
        return arrays

    def _launch(self) -> None:
        if self._capture and self._warm and self._graph is None:
            self._try_to_capture()
        if self._graph is not None:
            self._pool.cuda.launch(self._graph, self._stream.handle)
        else:
            self._execution.enqueue(self._stream)
        self._warm = True

    def _try_to_capture(self) -> None:
        """Write a run down as a CUDA graph; where that fails, say so and go on without."""
        cuda, handle = self._pool.cuda, self._stream.handle
        problem: MerEdgeError | None = None
        graph = None
        try:
            cuda.begin_capture(handle)
            try:
                self._execution.enqueue(self._stream)
            except MerEdgeError as error:
                problem = error
            # Also after an error: a stream that goes on capturing runs nothing ever again.
            graph = cuda.end_capture(handle)
        except MerEdgeError as error:
            problem = problem or error
        if problem is None:
            self._graph = graph
            return
        if graph is not None:
            cuda.destroy_graph(graph)
        self._capture = False
        self.refusal = problem.name if isinstance(problem, CudaError) else str(problem)

    def __del__(self) -> None:
        if getattr(self, "_graph", None) is not None:
            self._pool.cuda.destroy_graph(self._graph)
