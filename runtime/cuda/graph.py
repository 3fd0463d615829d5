"""A graph of the bundle on the GPU: its shape buckets, on one stream, beside the other graphs."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from mer_edge.bundle import GraphSpec
from mer_edge.errors import MerEdgeError
from runtime.arrays import Array
from runtime.cuda.buckets import Buckets, Sizes, shape_at, sizes_of
from runtime.cuda.cudart import OutOfDeviceMemoryError
from runtime.cuda.device_arrays import DeviceArray, OnDevice
from runtime.cuda.execution import DeviceEngine
from runtime.cuda.layout import Shape
from runtime.cuda.memory import Pool
from runtime.cuda.slot import Slot
from runtime.cuda.streams import Event

KEPT_SLOTS = 16
"""Shape buckets of a graph whose memory is kept; the one that was not used the longest goes."""
KEPT_PLANS = 1000
Bucket = tuple[tuple[str, int], ...]


class Plan(NamedTuple):
    """What follows from the shapes of the inputs."""

    sizes: Sizes
    """To run at."""
    bucket: Bucket
    outputs: dict[str, Shape]
    """The shapes that they really have."""


class DeviceGraph:
    """``runtime.backend.LoadedGraph`` on the GPU. ``run`` returns before the work is done.

    Args:
        name: ``text``, ``audio``, ``visual``, ``fusion``, ...
        engine: the graph, loaded.
        pool: of the stream it runs on.
        buckets: which sizes it is run at.
        lock: one for all graphs of a bundle, whose arrays remember who reads them.

    Raises:
        MerEdgeError: an output has a size that no input tells.
    """

    def __init__(
        self,
        name: str,
        spec: GraphSpec,
        engine: DeviceEngine,
        pool: Pool,
        buckets: Buckets,
        lock: threading.RLock,
    ) -> None:
        self._name = name
        self._spec = spec
        self._engine = engine
        self._pool = pool
        self._buckets = buckets
        self._lock = lock
        self._inputs = tuple(tensor.name for tensor in spec.inputs)
        self._plans: dict[tuple[Shape, ...], Plan] = {}
        self._slots: OrderedDict[Bucket, Slot] = OrderedDict()
        self._last: Slot | None = None
        self._consumed, self._ready = Event(pool.cuda), Event(pool.cuda)
        self._check_outputs()

    def _check_outputs(self) -> None:
        told = {size for tensor in self._spec.inputs for size in tensor.shape}
        for tensor in self._spec.outputs:
            for size in tensor.shape:
                if isinstance(size, str) and size not in told:
                    raise MerEdgeError(
                        f"the {self._name} graph: {tensor.name} has a size {size!r} that no input "
                        "tells; a GPU needs to know it before the run; export the bundle again"
                    )

    @property
    def engine(self) -> str:
        """What runs it, and whether the last run was a launch of a captured CUDA graph."""
        title = self._engine.title
        if self._last is None:
            return title
        if self._last.refusal:
            return f"{title}, without a CUDA graph: {self._last.refusal}"
        if self._last.replayed:
            return f"{title}, CUDA graphs"
        if self._engine.replay == "own":  # it does not say whether it makes any
            return f"{title}, CUDA graphs left to it"
        return title

    def run(self, feeds: Mapping[str, Array]) -> dict[str, DeviceArray]:
        """See ``runtime.backend.LoadedGraph``. Inputs: NumPy arrays, or what other graphs gave.

        Raises:
            MerEdgeError: there is no memory, or the engine failed. The graph can be run again.
        """
        inputs = {name: feeds[name] for name in self._inputs}
        with self._lock:
            plan = self._plan({name: feed.shape for name, feed in inputs.items()})
            slot = self._slot(plan.sizes, plan.bucket)
            slot.write(cast("dict[str, OnDevice | NDArray[np.generic]]", inputs), self._consumed)
            slot.run(self._ready)
            self._last = slot
            return slot.give(plan.outputs)

    def _plan(self, shapes: dict[str, Shape]) -> Plan:
        key = tuple(shapes.values())
        found = self._plans.get(key)
        if found is None:
            sizes = sizes_of(self._spec, shapes)
            rounded = self._buckets.of(sizes)
            outputs = {x.name: shape_at(x, sizes) for x in self._spec.outputs}
            found = Plan(rounded, tuple(sorted(rounded.items())), outputs)
            if len(self._plans) >= KEPT_PLANS:
                self._plans.clear()
            self._plans[key] = found
        return found

    def _slot(self, sizes: Sizes, key: Bucket) -> Slot:
        if key in self._slots:
            self._slots.move_to_end(key)
            return self._slots[key]
        while len(self._slots) >= KEPT_SLOTS:
            self._pool.stream.synchronize()
            self._slots.popitem(last=False)
        slot = self._try_new_slot(sizes)
        if slot is None:
            self._give_back()
            slot = self._new_slot(sizes)
        self._slots[key] = slot
        return slot

    def _try_new_slot(self, sizes: Sizes) -> Slot | None:
        """None without memory. The error is gone by then, and with it what its frames hold."""
        try:
            return self._new_slot(sizes)
        except OutOfDeviceMemoryError:
            return None

    def _new_slot(self, sizes: Sizes) -> Slot:
        return Slot(self._name, self._spec, self._engine, self._pool, sizes)

    def _give_back(self) -> None:
        """All memory that is held only to be used again."""
        self._pool.stream.synchronize()
        self._last = None
        self._slots.clear()
        self._pool.trim()
