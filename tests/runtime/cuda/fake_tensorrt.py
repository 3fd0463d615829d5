"""A stand-in for what runs engines in TensorRT 10.3, 10.13, 11.0 and RTX: as strict as each.

What a version lacks raises AttributeError. An engine is a JSON text that names an ONNX file;
running it puts ONNX Runtime's CPU provider on the fake GPU's stream, reading and writing the
addresses it was given. So a chain over it computes real numbers from what is in memory then.
"""

from __future__ import annotations

import enum
import json
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime

from mer_edge.bundle import Bundle, GraphSpec
from mer_edge.cuda_device import Gpu
from mer_edge.engine_cache import (
    ENGINE_SCHEMA_VERSION,
    PLAN,
    BuilderSettings,
    Sidecar,
    new_engine,
    write_sidecar,
)
from mer_edge.engine_keys import devices_for, dimension_ranges, engine_key
from mer_edge.tensorrt_api import TensorRT
from tests.runtime.cuda.fake_cuda import FakeCuda

VERSIONS = {
    "10.3.0": "tensorrt",
    "10.13.2": "tensorrt",
    "11.0.0": "tensorrt",
    "rtx": "tensorrt-rtx",
}
ORIN = Gpu("Orin", "8.7")
NAMES = {"float32": "FLOAT", "int64": "INT64", "uint8": "UINT8", "bool": "BOOL"}
SCRATCH_BYTES = 1000


class Strict:
    """Raises for what a version has not."""

    settable: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"this TensorRT has no {name}")

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and name not in self.settable:
            raise AttributeError(f"this TensorRT has no {name} to set")
        super().__setattr__(name, value)


class ILogger:
    def log(self, severity: int, message: str) -> None:
        raise NotImplementedError


class ExecutionContextAllocationStrategy(enum.Enum):
    STATIC = 0
    ON_PROFILE_CHANGE = 1
    USER_MANAGED = 2


class CudaGraphStrategy(enum.Enum):
    DISABLED = 0
    WHOLE_GRAPH_CAPTURE = 1


class FakeTensorRT:
    """A version of TensorRT over a fake GPU, and what it was made to do.

    Attributes:
        refuses: engines, by name of the graph, that are not taken.
        cannot_capture: a run while a stream captures fails, as with a loop in the graph.
        contexts: all execution contexts that are alive.
    """

    def __init__(self, version: str, cuda: FakeCuda) -> None:
        self.flavour = VERSIONS[version]
        self.version = "1.7.1.116" if version == "rtx" else version
        self.cuda = cuda
        self.refuses: set[str] = set()
        self.cannot_capture = False
        self.contexts: weakref.WeakSet[Any] = weakref.WeakSet()
        members = {
            "ILogger": ILogger,
            "Runtime": lambda logger: Runtime(self, logger),
            "ExecutionContextAllocationStrategy": ExecutionContextAllocationStrategy,
        }
        if version == "rtx":
            members["CudaGraphStrategy"] = CudaGraphStrategy
        module = type("Module", (Strict,), {"_members": members})()
        type(module).__getattr__ = lambda self, name: _member(members, name)
        self.api = TensorRT(self.flavour, self.version, module)

    def fill(self, cache: Path, bundle: Bundle, gpu: Gpu = ORIN, **changed: Any) -> None:
        """Put an engine of every graph into a cache, as ``mer-edge build`` does."""
        device = devices_for(self.flavour, self.version, gpu)[-1]
        for name, spec in bundle.manifest.graphs.items():
            key = engine_key(bundle, name, device)
            plan = plan_of(bundle, name, spec, **changed)
            with new_engine(cache, key, BuilderSettings()) as directory:
                (directory / PLAN).write_bytes(plan)
                write_sidecar(directory, _sidecar(key, plan, bundle))


def _member(members: dict[str, Any], name: str) -> Any:
    if name not in members:
        raise AttributeError(f"this TensorRT has no {name}")
    return members[name]


def _sidecar(key: Any, plan: bytes, bundle: Bundle) -> Sidecar:
    import hashlib

    return Sidecar(
        ENGINE_SCHEMA_VERSION,
        key,
        BuilderSettings(),
        hashlib.sha256(plan).hexdigest(),
        len(plan),
        1.0,
        "2026-01-01T00:00:00+00:00",
        str(bundle.path.resolve()),
    )


def plan_of(bundle: Bundle, name: str, spec: GraphSpec, **changed: Any) -> bytes:
    """A serialised engine. ``changed``: what is other than the manifest says."""
    ranges = dimension_ranges(name, spec, bundle.manifest.shape_ranges)
    described = {
        "graph": name,
        "onnx": str(bundle.graph_path(name)),
        "inputs": [[x.name, x.dtype, x.shape] for x in spec.inputs],
        "outputs": [[x.name, x.dtype, x.shape] for x in spec.outputs],
        "ranges": {k: [r.minimum, r.optimum, r.maximum] for k, r in ranges.items()},
    }
    return json.dumps(described | changed).encode()


class Runtime(Strict):
    def __init__(self, fake: FakeTensorRT, logger: Any) -> None:
        assert isinstance(logger, ILogger)
        self._fake, self._logger = fake, logger

    def deserialize_cuda_engine(self, plan: bytes) -> Any:
        described = json.loads(plan)
        if described["graph"] in self._fake.refuses:
            self._logger.log(1, "the engine was made for another compute capability")
            return None
        return Engine(self._fake, self._logger, described)


class Engine(Strict):
    def __init__(self, fake: FakeTensorRT, logger: Any, described: dict[str, Any]) -> None:
        self._fake, self._logger, self._ranges = fake, logger, described["ranges"]
        self._tensors = {x[0]: ("INPUT", *x[1:]) for x in described["inputs"]}
        self._tensors |= {x[0]: ("OUTPUT", *x[1:]) for x in described["outputs"]}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(described["onnx"], options)
        self._graph = described["graph"]

    num_io_tensors = property(lambda self: len(self._tensors))
    device_memory_size_v2 = property(lambda self: SCRATCH_BYTES)

    def get_tensor_name(self, index: int) -> str:
        return list(self._tensors)[index]

    def get_tensor_mode(self, name: str) -> Any:
        return SimpleNamespace(name=self._tensors[name][0])

    def get_tensor_dtype(self, name: str) -> Any:
        return SimpleNamespace(name=NAMES[self._tensors[name][1]])

    def get_tensor_location(self, name: str) -> Any:
        return SimpleNamespace(name="DEVICE")

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, ...]]:
        assert profile == 0
        assert self._tensors[name][0] == "INPUT"
        shape = self._tensors[name][2]
        return [
            tuple(x if isinstance(x, int) else self._ranges[x][index] for x in shape)
            for index in range(3)
        ]

    def create_runtime_config(self) -> Any:
        if self._fake.flavour == "tensorrt":
            raise AttributeError("what this would configure is RTX's")
        return RtxConfig()

    def create_execution_context(self, how: Any) -> Any:
        rtx = isinstance(how, RtxConfig)
        strategy = how._strategy if rtx else how
        assert strategy is ExecutionContextAllocationStrategy.USER_MANAGED
        context = Context(self, how.cuda_graph_strategy if rtx else None)
        self._fake.contexts.add(context)
        return context


class RtxConfig(Strict):
    settable = ("cuda_graph_strategy",)

    def __init__(self) -> None:
        self.cuda_graph_strategy = CudaGraphStrategy.DISABLED
        self._strategy = ExecutionContextAllocationStrategy.STATIC

    def set_execution_context_allocation_strategy(self, strategy: Any) -> None:
        self._strategy = strategy


class Context(Strict):
    """A context whose shapes or addresses change after a capture has spoilt what was captured."""

    def __init__(self, engine: Engine, graph_strategy: Any) -> None:
        self._engine, self._cuda, self._fake = engine, engine._fake.cuda, engine._fake
        self._graph_strategy = graph_strategy
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._scratch = 0
        self._warm = self._captured = False

    def set_device_memory(self, address: int, size: int) -> None:
        assert size >= SCRATCH_BYTES
        assert address % 256 == 0
        self._cuda.view(address, size)
        self._scratch = address

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert not self._captured
        least, _, most = self._engine.get_tensor_profile_shape(name, 0)
        if any(not a <= x <= b for a, x, b in zip(least, shape, most, strict=True)):
            self._engine._logger.log(1, f"{name}: {shape} is outside of the profile")
            return False
        self._shapes[name], self._warm = tuple(shape), False
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        assert not self._captured
        assert address % 256 == 0
        self._addresses[name] = address
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        sizes = {
            stated: size
            for tensor, found in self._shapes.items()
            for stated, size in zip(self._engine._tensors[tensor][2], found, strict=True)
        }
        shape = self._engine._tensors[name][2]
        return tuple(x if isinstance(x, int) else sizes[x] for x in shape)

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert type(stream_handle) is int
        assert self._scratch
        if self._cuda.is_capturing(stream_handle):
            # Right after a change of shapes TensorRT still sets itself up, which no graph can hold.
            if self._fake.cannot_capture or not self._warm:
                self._cuda._unsafe_while_capturing()
                self._engine._logger.log(1, "operation not permitted when stream is capturing")
                return False
            self._captured = True
        self._warm = True
        label = f"run {self._engine._graph}"
        self._cuda.put(stream_handle, self._compute(), label)
        return True

    def _compute(self) -> Any:
        session, tensors = self._engine._session, self._engine._tensors
        places = {name: self._place(name, tensor[1]) for name, tensor in tensors.items()}
        outputs = [name for name, tensor in tensors.items() if tensor[0] == "OUTPUT"]

        def compute() -> None:
            feeds = {k: v.copy() for k, v in places.items() if k not in outputs}
            for name, value in zip(outputs, session.run(outputs, feeds), strict=True):
                places[name][...] = value

        return compute

    def _place(self, name: str, dtype: str) -> np.ndarray:
        shape = self._shapes.get(name) or self.get_tensor_shape(name)
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return self._cuda.view(self._addresses[name], size).view(dtype).reshape(shape)
