"""A TensorRT or TensorRT-RTX engine on buffers of ours: one code for 10.3 to 11.x and RTX.

Source: NVIDIA's Python API of TensorRT 10 and 11 and of TensorRT-RTX 1. Each set of shapes has an
execution context of its own, because changing the shapes of a context would spoil the CUDA graph
that was captured from it; they share their scratch memory, because they run one after the other.
Never run on a GPU by this project.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mer_edge.bundle import GraphSpec, TensorSpec
from mer_edge.errors import MerEdgeError
from mer_edge.tensorrt_api import Messages, TensorRT
from runtime.cuda.device_arrays import Box
from runtime.cuda.execution import Execution, Replay
from runtime.cuda.layout import Shape
from runtime.cuda.memory import Buffer, Pool
from runtime.cuda.streams import Stream

if TYPE_CHECKING:
    import tensorrt as trt

DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "UINT8": "uint8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
}
"""By TensorRT's name of a type: NumPy's."""
PROFILE = 0


class TrtLoader:
    """Makes engines of checked bytes.

    Args:
        api: the flavour, imported.
        cuda_graphs: whether runs are to become CUDA graphs.
    """

    def __init__(self, api: TensorRT, gpu: str, *, cuda_graphs: bool = True) -> None:
        self.api = api
        self.gpu = gpu
        self.cuda_graphs = cuda_graphs
        self.messages = Messages()
        # Both by name for as long as an engine may speak: TensorRT owns neither.
        self._logger = api.logger(self.messages)
        self._runtime: trt.Runtime | None = None

    def load(self, name: str, plan: bytes, spec: GraphSpec, pool: Pool, advice: str) -> TrtEngine:
        """Deserialise an engine.

        Args:
            name: of the graph.
            plan: from ``mer_edge.engine_cache.Engine.read``, which has compared their hash.
            pool: of the stream it will run on.
            advice: ends a message: what makes the engine anew.

        Raises:
            MerEdgeError: TensorRT refuses it, or it is not for the graph that ``spec`` states.
        """
        if self._runtime is None:
            self._runtime = self._new_runtime()
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise MerEdgeError(
                f"{self.api.title} does not take the engine of the {name} graph on {self.gpu}: "
                f"{self.messages.reason()}; {advice}"
            )
        _check_tensors(name, engine, spec, advice)
        return TrtEngine(self, name, engine, pool, advice)

    def _new_runtime(self) -> trt.Runtime:
        try:
            return self.api.module.Runtime(self._logger)
        except (TypeError, RuntimeError) as error:  # pybind11's answer to a null pointer
            raise MerEdgeError(
                f"{self.api.title} runs nothing here: {self.messages.reason()} ({error}); "
                "run: mer-edge doctor"
            ) from error


class TrtEngine:
    """``runtime.cuda.execution.DeviceEngine`` over a TensorRT engine."""

    def __init__(
        self, loader: TrtLoader, name: str, engine: trt.ICudaEngine, pool: Pool, advice: str
    ) -> None:
        self._loader = loader
        self._name = name
        self._engine = engine
        self._pool = pool
        self._advice = advice
        self._scratch: Buffer | None = None
        self.replay: Replay = "none"
        if loader.cuda_graphs:
            self.replay = "own" if self._replays_itself() else "stream"

    @property
    def title(self) -> str:
        return f"{self._loader.api.title} on {self._loader.gpu}"

    def _replays_itself(self) -> bool:
        """RTX compiles kernels for a shape while others serve it: only it knows when to capture."""
        rtx = self._loader.api.flavour == "tensorrt-rtx"
        return rtx and hasattr(self._loader.api.module, "CudaGraphStrategy")

    def bind(self, inputs: Mapping[str, Box], outputs: Mapping[str, Box]) -> Execution:
        """See ``runtime.cuda.execution.DeviceEngine``."""
        for name, box in inputs.items():
            self._check_profile(name, box.shape)
        context = self._new_context()
        if context is None:
            raise self._failed("makes no execution context")
        scratch = self._lend_scratch(context)
        for name, box in inputs.items():
            if not context.set_input_shape(name, box.shape):
                raise self._failed(f"does not take {name} {box.shape}")
        for name, box in (*inputs.items(), *outputs.items()):
            if not context.set_tensor_address(name, box.buffer.address):
                raise self._failed(f"does not take the address of {name}")
        for name, box in outputs.items():
            told = _sizes(context.get_tensor_shape(name))
            if told != box.shape:
                raise MerEdgeError(
                    f"the {self._name} engine gives {name} {told}; the manifest says {box.shape}; "
                    f"{self._advice}"
                )
        return TrtExecution(self, context, scratch, (*inputs.values(), *outputs.values()))

    def _check_profile(self, name: str, shape: Shape) -> None:
        least, _, most = map(_sizes, self._engine.get_tensor_profile_shape(name, PROFILE))
        if any(not a <= size <= b for a, size, b in zip(least, shape, most, strict=True)):
            raise MerEdgeError(
                f"the {self._name} engine takes {name} from {least} to {most}, not {shape}; "
                f"{self._advice}"
            )

    def _new_context(self) -> trt.IExecutionContext | None:
        module: Any = self._loader.api.module
        strategy = module.ExecutionContextAllocationStrategy.USER_MANAGED
        if self.replay != "own":
            return self._engine.create_execution_context(strategy)
        engine: Any = self._engine  # the stubs are TensorRT's, whose configuration has less
        config = engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(strategy)
        config.cuda_graph_strategy = module.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        context: trt.IExecutionContext | None = engine.create_execution_context(config)
        return context

    def _lend_scratch(self, context: trt.IExecutionContext) -> Buffer | None:
        size = self._engine.device_memory_size_v2
        if size and self._scratch is None:
            self._scratch = self._pool.lease(size, f"scratch memory of the {self._name} graph")
        if self._scratch is not None:
            context.set_device_memory(self._scratch.address, size)
        return self._scratch

    def failed_run(self) -> MerEdgeError:
        """Why a run was refused."""
        return self._failed("does not run")

    def _failed(self, what: str) -> MerEdgeError:
        reason = self._loader.messages.reason()
        return MerEdgeError(f"{self.title}: the {self._name} engine {what}: {reason}")


@dataclass(frozen=True)
class TrtExecution:
    """An execution context at fixed shapes and addresses."""

    engine: TrtEngine
    context: trt.IExecutionContext
    scratch: Buffer | None
    kept: tuple[Box, ...]
    """What the addresses belong to."""

    def enqueue(self, stream: Stream) -> None:
        """See ``runtime.cuda.execution.Execution``."""
        if not self.context.execute_async_v3(int(stream.handle)):
            raise self.engine.failed_run()


def _sizes(dims: trt.Dims) -> Shape:
    return tuple(int(dims[index]) for index in range(len(dims)))


def _check_tensors(name: str, engine: trt.ICudaEngine, spec: GraphSpec, advice: str) -> None:
    """The engine takes and gives what the manifest states, in the same types."""
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    has = {tensor: _described(engine, tensor) for tensor in names}
    wants = {x.name: _stated("INPUT", x) for x in spec.inputs}
    wants |= {x.name: _stated("OUTPUT", x) for x in spec.outputs}
    if has != wants:
        differing = sorted(
            tensor for tensor in has.keys() | wants.keys() if has.get(tensor) != wants.get(tensor)
        )
        raise MerEdgeError(
            f"the {name} engine has {_listed(has, differing)}; the manifest says "
            f"{_listed(wants, differing)}; {advice}"
        )


def _described(engine: trt.ICudaEngine, tensor: str) -> tuple[str, str, str]:
    mode, dtype = engine.get_tensor_mode(tensor), engine.get_tensor_dtype(tensor)
    # Values of the shape are read on the host, where ours are not.
    location = engine.get_tensor_location(tensor).name
    return mode.name, DTYPES.get(dtype.name, dtype.name), location


def _stated(mode: str, tensor: TensorSpec) -> tuple[str, str, str]:
    return mode, np.dtype(tensor.dtype).name, "DEVICE"


def _listed(tensors: Mapping[str, tuple[str, str, str]], names: list[str]) -> str:
    return ", ".join(
        f"{name} ({' '.join(tensors[name]).lower()})" if name in tensors else f"no {name}"
        for name in names
    )
