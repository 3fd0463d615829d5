"""A stand-in for ``cuda.bindings.runtime`` whose GPU does its work as late and as oddly as it may.

Device memory is the host's, poisoned where nothing was written. Work on streams waits until
somebody synchronises; then the streams take turns at random, or let each other starve, held back
by events alone. What a missing event would let happen on a GPU now and then, happens here for some
seed. Copies outside of
what was allocated, and work on what was freed, are assertion errors.
"""

# ruff: noqa: N801, N802, N815
# Names are as in cuda.bindings.runtime.
from __future__ import annotations

import enum
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

ALIGNMENT_BYTES = 256


class cudaError_t(enum.IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorInsufficientDriver = 35
    cudaErrorNoDevice = 100
    cudaErrorIllegalAddress = 700
    cudaErrorStreamCaptureUnsupported = 900
    cudaErrorStreamCaptureInvalidated = 901


class cudaMemcpyKind(enum.IntEnum):
    cudaMemcpyHostToHost = 0
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2
    cudaMemcpyDeviceToDevice = 3
    cudaMemcpyDefault = 4


class cudaStreamCaptureMode(enum.IntEnum):
    cudaStreamCaptureModeGlobal = 0
    cudaStreamCaptureModeThreadLocal = 1
    cudaStreamCaptureModeRelaxed = 2


OK = cudaError_t.cudaSuccess
INVALIDATED = cudaError_t.cudaErrorStreamCaptureInvalidated
SHORT = {1: "in", 2: "out", 3: "copy"}


@dataclass
class Point:
    """An event as it was recorded once."""

    done: bool = True


@dataclass
class Work:
    """Something on a stream."""

    do: Callable[[], None]
    may_start: Callable[[], bool] = lambda: True


class Handle:
    def __init__(self, number: int) -> None:
        self._number = number

    def __int__(self) -> int:
        return self._number


@dataclass
class FakeCuda:
    """The module's functions as methods, under their own names.

    Attributes:
        seed: of the order in which streams take turns; None does all work at once, in order.
        memory_bytes: of the GPU.
        log: what was asked for: (call, stream or None, bytes or detail).
        fails: error by name of a call, for its next time.
    """

    seed: int | None = 0
    memory_bytes: int = 1 << 32
    log: list[tuple[str, int | None, object]] = field(default_factory=list)
    fails: dict[str, cudaError_t] = field(default_factory=dict)
    devices: int = 1
    driver: int = 13020

    cudaError_t = cudaError_t
    cudaMemcpyKind = cudaMemcpyKind
    cudaStreamCaptureMode = cudaStreamCaptureMode
    cudaStreamNonBlocking = 1
    cudaEventDisableTiming = 2

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._device: dict[int, np.ndarray] = {}
        self._host: dict[int, np.ndarray] = {}
        self._streams: dict[int, deque[Work]] = {}
        self._ranks: dict[int, float] = {}
        self._captures: dict[int, list[Work]] = {}
        self._invalidated = False
        self._events: dict[int, Point] = {}
        self._graphs: dict[int, list[Work]] = {}
        self._handles = 100
        self.last_error = OK

    # --- what tests look at ---

    def calls(self, *names: str) -> list[tuple[str, int | None, object]]:
        return [entry for entry in self.log if entry[0] in names]

    @property
    def used_bytes(self) -> int:
        return sum(len(block) for block in self._device.values())

    @property
    def pinned_blocks(self) -> int:
        return len(self._host)

    @property
    def live_graphs(self) -> int:
        return len(self._graphs)

    def view(self, address: int, size_bytes: int) -> np.ndarray:
        """Device memory; an assertion error outside of what was allocated."""
        return self._find(self._device, address, size_bytes)

    def is_capturing(self, stream: int) -> bool:
        return stream in self._captures

    def put(self, stream: int, do: Callable[[], None], label: str) -> None:
        """Work of an engine."""
        self.log.append((label, stream, None))
        self._put(stream, Work(do))

    # --- the work ---

    def _put(self, stream: int, work: Work) -> None:
        if stream in self._captures:
            self._captures[stream].append(work)
            return
        self._streams[stream].append(work)
        if self.seed is None:
            self._finish()

    def _finish(self, until: Callable[[], bool] | None = None) -> None:
        """Let streams take turns until a condition holds, or there is nothing left."""
        while not (until and until()):
            ready = [s for s, q in self._streams.items() if q and q[0].may_start()]
            if not ready:
                left = sum(len(q) for q in self._streams.values())
                assert not left, f"{left} pieces of work wait for each other"
                assert until is None, "waiting for an event that nothing will bring about"
                return
            # Every other seed lets some streams starve as long as others have work.
            starving = self.seed is not None and self.seed % 2
            chosen = min(ready, key=self._ranks.get) if starving else self._random.choice(ready)
            self._streams[chosen].popleft().do()

    def _find(self, memory: dict[int, np.ndarray], address: int, size: int) -> np.ndarray:
        for start, block in memory.items():
            if start <= address < start + len(block) or (size == 0 and address == start):
                assert address + size <= start + len(block), "beyond the end of an allocation"
                return block[address - start : address - start + size]
        raise AssertionError(f"{address:#x} is not allocated")

    def _failing(self, name: str, stream: object = None, detail: object = None) -> cudaError_t:
        self.log.append((name, None if stream is None else int(stream), detail))
        code = self.fails.pop(name, OK)
        if code:
            self.last_error = code
        return code

    def _unsafe_while_capturing(self) -> None:
        if self._captures:
            self._invalidated = True

    def _new_handle(self) -> Handle:
        self._handles += 1
        return Handle(self._handles)

    # --- the API ---

    def cudaGetDeviceCount(self):
        code = self._failing("cudaGetDeviceCount")
        if not code and not self.devices:
            code = cudaError_t.cudaErrorNoDevice
        return (code, None if code else self.devices)

    def cudaDriverGetVersion(self):
        return (OK, self.driver)

    def cudaRuntimeGetVersion(self):
        return (OK, 13050)

    def cudaGetErrorName(self, error):
        return (OK, cudaError_t(error).name.encode())

    def cudaGetErrorString(self, error):
        return (OK, b"what the driver says of it")

    def cudaGetLastError(self):
        error, self.last_error = self.last_error, OK
        return (error,)

    def cudaMemGetInfo(self):
        return (OK, self.memory_bytes - self.used_bytes, self.memory_bytes)

    def cudaMalloc(self, size):
        self._unsafe_while_capturing()
        code = self._failing("cudaMalloc", None, size)
        if not code and self.used_bytes + size > self.memory_bytes:
            code = self.last_error = cudaError_t.cudaErrorMemoryAllocation
        return (code, None) if code else (OK, self._allocate(self._device, size))

    def cudaMallocHost(self, size):
        code = self._failing("cudaMallocHost", None, size)
        return (code, None) if code else (OK, self._allocate(self._host, size))

    def _allocate(self, memory, size):
        # Aligned as CUDA aligns; the array that is kept is a view of the larger one.
        raw = np.full(size + ALIGNMENT_BYTES, 0xFF, np.uint8)
        start = -raw.ctypes.data % ALIGNMENT_BYTES
        block = raw[start : start + size]
        memory[block.ctypes.data] = block
        return block.ctypes.data

    def cudaFree(self, address):
        self._unsafe_while_capturing()
        self._finish()  # as the real one does
        self._device.pop(address).fill(0xCD)
        return (OK,)

    def cudaFreeHost(self, address):
        self._finish()
        self._host.pop(address).fill(0xCD)
        return (OK,)

    def cudaMemcpyAsync(self, target, source, size, kind, stream):
        code = self._failing("cudaMemcpyAsync", stream, (SHORT[int(kind)], size))
        if code:
            return (code,)
        to = self._host if kind == 2 else self._device
        of = self._host if kind == 1 else self._device
        target_view, source_view = self._find(to, target, size), self._find(of, source, size)
        self._put(int(stream), Work(lambda: np.copyto(target_view, source_view)))
        return (OK,)

    def cudaMemsetAsync(self, address, value, size, stream):
        code = self._failing("cudaMemsetAsync", stream, size)
        view = self.view(address, size)
        self._put(int(stream), Work(lambda: view.fill(value)))
        return (code,)

    def cudaStreamCreateWithFlags(self, flags):
        assert flags == self.cudaStreamNonBlocking
        handle = self._new_handle()
        self._streams[int(handle)] = deque()
        self._ranks[int(handle)] = self._random.random()
        return (OK, handle)

    def cudaEventCreateWithFlags(self, flags):
        handle = self._new_handle()
        self._events[int(handle)] = Point()
        return (OK, handle)

    def cudaEventDestroy(self, event):
        del self._events[int(event)]
        return (OK,)

    def cudaEventRecord(self, event, stream):
        assert int(stream) not in self._captures
        self.log.append(("cudaEventRecord", int(stream), int(event)))
        point = self._events[int(event)] = Point(done=False)
        self._put(int(stream), Work(lambda: setattr(point, "done", True)))
        return (OK,)

    def cudaStreamWaitEvent(self, stream, event, flags):
        assert int(stream) not in self._captures
        self.log.append(("cudaStreamWaitEvent", int(stream), int(event)))
        point = self._events[int(event)]
        self._put(int(stream), Work(lambda: None, lambda: point.done))
        return (OK,)

    def cudaEventSynchronize(self, event):
        code = self._failing("cudaEventSynchronize")
        point = self._events[int(event)]
        self._finish(lambda: point.done)
        return (code,)

    def cudaStreamSynchronize(self, stream):
        code = self._failing("cudaStreamSynchronize", stream)
        queue = self._streams[int(stream)]
        self._finish(lambda: not queue)
        return (code,)

    def cudaEventElapsedTime(self, start, end):
        return (OK, 1.5)

    def cudaStreamBeginCapture(self, stream, mode):
        assert mode == cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        code = self._failing("cudaStreamBeginCapture", stream)
        if not code:
            self._captures[int(stream)] = []
            self._invalidated = False
        return (code,)

    def cudaStreamEndCapture(self, stream):
        code = self._failing("cudaStreamEndCapture", stream)
        work = self._captures.pop(int(stream))
        if code or self._invalidated:
            self.last_error = code or INVALIDATED
            return (self.last_error, None)
        return (OK, work)

    def cudaGraphInstantiate(self, graph, flags):
        code = self._failing("cudaGraphInstantiate")
        handle = self._new_handle()
        if not code:
            self._graphs[int(handle)] = list(graph)
        return (code, None if code else handle)

    def cudaGraphDestroy(self, graph):
        graph.clear()
        return (OK,)

    def cudaGraphLaunch(self, graph, stream):
        code = self._failing("cudaGraphLaunch", stream)
        work = self._graphs[int(graph)]

        def replay() -> None:
            for piece in work:
                piece.do()

        self._put(int(stream), Work(replay))
        return (code,)

    def cudaGraphExecDestroy(self, graph):
        self._finish()
        del self._graphs[int(graph)]
        return (OK,)
