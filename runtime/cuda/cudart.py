"""The CUDA runtime: the calls that are used, with errors as exceptions. Handles are its own.

Source: the CUDA Runtime API and the documentation of ``cuda.bindings.runtime`` 12 and 13, whose
functions return an error code and then their results.
"""

from __future__ import annotations

from typing import Any, cast

from mer_edge.errors import MerEdgeError, MissingExtraError

Handle = Any
"""A stream, an event or an instantiated graph of ``cuda.bindings.runtime``."""
MB = 1e6
BROKEN = "; the GPU's state is lost for this process: start it again, and run mer-edge doctor"
DRIVER_TOO_OLD = 35


class CudaError(MerEdgeError):
    """A call of the CUDA runtime failed; ``name`` is CUDA's own of the error."""

    def __init__(self, call: str, name: str, told: str, advice: str) -> None:
        super().__init__(f"{call}: {name} ({told}){advice}")
        self.name = name


class OutOfDeviceMemoryError(MerEdgeError):
    """There is less memory on the GPU than was asked for. What was there before is as it was."""

    def __init__(self, size_bytes: int, what: str, name: str, free: int, total: int) -> None:
        super().__init__(
            f"the GPU is out of memory ({name}): {what} needs {size_bytes / MB:.1f} MB, of "
            f"{total / MB:.0f} MB {free / MB:.1f} MB are free; run fewer clips at once, or close "
            "what else uses the GPU"
        )
        self.size_bytes = size_bytes


class Cuda:
    """The first GPU that this process may use (``CUDA_VISIBLE_DEVICES`` counts).

    Args:
        api: ``cuda.bindings.runtime``, or what stands in for it.

    Raises:
        MerEdgeError: there is no GPU, or its driver is too old for the package.
    """

    def __init__(self, api: Any) -> None:
        self._api = api
        kinds = api.cudaMemcpyKind
        self._to_device = kinds.cudaMemcpyHostToDevice
        self._to_host = kinds.cudaMemcpyDeviceToHost
        self._on_device = kinds.cudaMemcpyDeviceToDevice
        self._capture_mode = api.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._check_device()

    def _check_device(self) -> None:
        code, *count = self._api.cudaGetDeviceCount()
        if int(code) == DRIVER_TOO_OLD:
            raise MerEdgeError(self._old_driver())
        if code or not count[0]:
            name, told = self._explain(code)
            raise MerEdgeError(
                f"no NVIDIA GPU can be used here: {name} ({told}); run mer-edge doctor, or use "
                "--device cpu"
            )

    def _old_driver(self) -> str:
        has, wants = (
            self._call(name) for name in ("cudaDriverGetVersion", "cudaRuntimeGetVersion")
        )
        if not has:
            return (
                "no NVIDIA GPU can be used here: there is no CUDA driver; install NVIDIA's, or use "
                "--device cpu"
            )
        version, needed = (f"{number // 1000}.{number % 1000 // 10}" for number in (has, wants))
        return (
            f"the NVIDIA driver is one for CUDA {version}, the package cuda-bindings wants "
            f"{needed}; update the driver, or run: pip install 'cuda-bindings<{wants // 1000}'"
        )

    def _explain(self, code: Any) -> tuple[str, str]:
        """CUDA's name of an error and its words for it."""
        answers = (self._api.cudaGetErrorName(code)[1], self._api.cudaGetErrorString(code)[1])
        return cast("tuple[str, str]", tuple(x.decode() for x in answers))

    def _call(self, name: str, *arguments: Any) -> Any:
        answer = getattr(self._api, name)(*arguments)
        if answer[0]:
            raise self._error(name, answer[0], BROKEN)
        return answer[1] if len(answer) == 2 else answer[1:]

    def _error(self, call: str, code: Any, advice: str) -> CudaError:
        self._forget_error()
        return CudaError(call, *self._explain(code), advice)

    def _forget_error(self) -> None:
        """The runtime remembers a failed call; engines that ask it would take it for theirs."""
        self._api.cudaGetLastError()

    def memory_info(self) -> tuple[int, int]:
        """Bytes of the GPU that are free, and all of them."""
        free, total = self._call("cudaMemGetInfo")
        return int(free), int(total)

    def malloc(self, size_bytes: int, what: str) -> int:
        """Memory on the GPU; its address.

        Args:
            what: it is for, for the message.

        Raises:
            OutOfDeviceMemoryError: there is not enough; nothing else has changed.
        """
        code, *address = self._api.cudaMalloc(size_bytes)
        if code == self._api.cudaError_t.cudaErrorMemoryAllocation:
            self._forget_error()
            name, _ = self._explain(code)
            raise OutOfDeviceMemoryError(size_bytes, what, name, *self.memory_info())
        if code:
            raise self._error("cudaMalloc", code, BROKEN)
        return int(address[0])

    def malloc_host(self, size_bytes: int, what: str) -> int:
        """Page-locked memory of the host, which the GPU copies without the CPU; its address.

        Raises:
            CudaError: there is not enough.
        """
        code, *address = self._api.cudaMallocHost(size_bytes)
        if code:
            advice = (
                f": {what} needs {size_bytes / MB:.1f} MB of the host's memory that is never "
                "swapped; close other programs, or run fewer clips at once"
            )
            raise self._error("cudaMallocHost", code, advice)
        return int(address[0])

    def free(self, address: int) -> None:
        """Give memory back, after all work of the GPU. An error has been told by then, or the
        process is ending."""
        self._api.cudaFree(address)

    def free_host(self, address: int) -> None:
        """Give page-locked memory back."""
        self._api.cudaFreeHost(address)

    def copy_in(self, device: int, host: int, size_bytes: int, stream: Handle) -> None:
        """From page-locked memory to the GPU."""
        self._call("cudaMemcpyAsync", device, host, size_bytes, self._to_device, stream)

    def copy_out(self, host: int, device: int, size_bytes: int, stream: Handle) -> None:
        """From the GPU to page-locked memory."""
        self._call("cudaMemcpyAsync", host, device, size_bytes, self._to_host, stream)

    def copy(self, target: int, source: int, size_bytes: int, stream: Handle) -> None:
        """From one place on the GPU to another."""
        self._call("cudaMemcpyAsync", target, source, size_bytes, self._on_device, stream)

    def clear(self, device: int, size_bytes: int, stream: Handle) -> None:
        """Zeros."""
        self._call("cudaMemsetAsync", device, 0, size_bytes, stream)

    def new_stream(self) -> Handle:
        """A stream that the default stream does not wait for, nor it for that."""
        return self._call("cudaStreamCreateWithFlags", self._api.cudaStreamNonBlocking)

    def new_event(self, *, timed: bool = False) -> Handle:
        """An event; one that is not ``timed`` costs less."""
        flags = 0 if timed else self._api.cudaEventDisableTiming
        return self._call("cudaEventCreateWithFlags", flags)

    def destroy_event(self, event: Handle) -> None:
        self._api.cudaEventDestroy(event)

    def record(self, event: Handle, stream: Handle) -> None:
        """The event happens when all that is on the stream now is done."""
        self._call("cudaEventRecord", event, stream)

    def wait(self, stream: Handle, event: Handle) -> None:
        """What comes on the stream from now on starts after the event as it was last recorded."""
        self._call("cudaStreamWaitEvent", stream, event, 0)

    def synchronize(self, event: Handle) -> None:
        """Wait, on the host, for an event. Errors of the work before it come out here."""
        self._call("cudaEventSynchronize", event)

    def synchronize_stream(self, stream: Handle) -> None:
        """Wait, on the host, for all that is on the stream."""
        self._call("cudaStreamSynchronize", stream)

    def elapsed_ms(self, start: Handle, end: Handle) -> float:
        """Time between two ``timed`` events that have happened."""
        return float(self._call("cudaEventElapsedTime", start, end))

    def begin_capture(self, stream: Handle) -> None:
        """What this thread puts on the stream from now on is written down and does not run."""
        self._call("cudaStreamBeginCapture", stream, self._capture_mode)

    def end_capture(self, stream: Handle) -> Handle:
        """What was written down, as something that can be launched.

        Raises:
            CudaError: something was called that cannot be captured. Nothing of it has run.
        """
        graph = self._call("cudaStreamEndCapture", stream)
        try:
            return self._call("cudaGraphInstantiate", graph, 0)
        finally:
            self._api.cudaGraphDestroy(graph)

    def launch(self, graph: Handle, stream: Handle) -> None:
        """Run what was captured."""
        self._call("cudaGraphLaunch", graph, stream)

    def destroy_graph(self, graph: Handle) -> None:
        self._api.cudaGraphExecDestroy(graph)


def load_cuda(device: str, extra: str) -> Cuda:
    """The CUDA runtime of this machine.

    Args:
        device: as ``--device`` names it, for messages.
        extra: of the package, that brings ``cuda-bindings``.

    Raises:
        MissingExtraError: cuda-bindings is not installed.
        MerEdgeError: it cannot be imported, or there is no GPU that works.
    """
    try:
        from cuda.bindings import runtime
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"--device {device}", "cuda-bindings", extra) from error
    except (ImportError, RuntimeError, OSError) as error:
        raise MerEdgeError(
            f"cuda-bindings is installed but cannot be imported: {error}; install it again"
        ) from error
    return Cuda(runtime)
