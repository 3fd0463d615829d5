"""A stand-in for the package tensorrt, as strict as four versions of it.

What a version lacks raises AttributeError. What only weakly typed builds use raises in every
version, also where the real package still has it. How it behaves is told by environment variables,
because it is imported in child processes:

FAKE_TENSORRT      the version: 10.3.0, 10.13.2, 11.0.0 or rtx
FAKE_TENSORRT_DOES what happens while building: abort, segv, kill, refuse, full, sleep, exception
FAKE_TENSORRT_LOG  a file that gets a line for each build
FAKE_GPU           NAME/COMPUTE CAPABILITY; empty for a machine without one
"""

from __future__ import annotations

import enum
import errno
import hashlib
import json
import os
import signal
import time
from pathlib import Path

from mer_edge import cuda_device

VERSION = os.environ["FAKE_TENSORRT"]
RTX = VERSION == "rtx"
LOG = Path(os.environ.get("FAKE_TENSORRT_LOG", os.devnull))
NAME, _, CAPABILITY = os.environ.get("FAKE_GPU", "").partition("/")
__version__ = "1.7.1.116" if RTX else VERSION
FORBIDDEN = {
    "FP16", "INT8", "BF16", "OBEY_PRECISION_CONSTRAINTS", "PREFER_PRECISION_CONSTRAINTS",
    "EXPLICIT_BATCH", "IInt8Calibrator", "IInt8EntropyCalibrator2", "BuilderFlag",
    "platform_has_fast_fp16", "platform_has_fast_int8", "platform_has_tf32", "max_batch_size",
    "max_workspace_size", "int8_calibrator", "build_engine", "set_calibration_profile",
    "num_optimization_profiles_of_implicit_batch",
}  # fmt: skip


def _missing(name: str) -> None:
    if name in FORBIDDEN:
        raise AssertionError(f"{name} was touched: weak typing, which TensorRT 11 has not")
    raise AttributeError(f"TensorRT {VERSION} has no {name}")


class _StrictEnum(enum.EnumMeta):
    def __getattr__(cls, name):
        if name.startswith("_"):
            raise AttributeError(name)
        _missing(name)


class Strict:
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        _missing(name)

    def __setattr__(self, name, value):
        if not name.startswith("_") and name not in type(self).settable:
            _missing(name)
        super().__setattr__(name, value)

    settable: tuple[str, ...] = ()


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    _missing(name)


class MemoryPoolType(enum.Enum, metaclass=_StrictEnum):
    WORKSPACE = 0


class _WithFlag(enum.IntEnum, metaclass=_StrictEnum):
    STRONGLY_TYPED = 1


class _WithoutFlag(enum.IntEnum, metaclass=_StrictEnum):
    PREFER_AOT_PYTHON_PLUGINS = 4


NetworkDefinitionCreationFlag = _WithoutFlag if VERSION.startswith("11") else _WithFlag


class ILogger:
    def log(self, severity, message):
        raise NotImplementedError


class Dims(tuple):
    __slots__ = ()

    def __new__(cls, shape=()):
        assert isinstance(shape, list)
        return super().__new__(cls, shape)


class _Tensor(Strict):
    settable = ("name",)

    def __init__(self, name):
        self.name = name


class _Network(Strict):
    def __init__(self):
        self._inputs, self._model = [], b""

    num_inputs = property(lambda self: len(self._inputs))
    num_layers = property(lambda self: 7)

    def get_input(self, index):
        return _Tensor(self._inputs[index])


class _ParserError(Strict):
    def node_name(self):
        return "node_conv_3"

    def node_operator(self):
        return "Conv"

    def desc(self):
        return "Assertion failed: zero point must be 0 \n"


class OnnxParser(Strict):
    def __init__(self, network, logger):
        self._network, self._failed = network, False

    num_errors = property(lambda self: int(self._failed))

    def get_error(self, index):
        return _ParserError()

    def parse_from_file(self, path):
        graph = Path(path)
        self._network._model = graph.read_bytes()
        manifest = json.loads(graph.with_name("manifest.json").read_text())
        self._network._inputs = [t["name"] for t in manifest["graphs"][graph.stem]["inputs"]]
        self._failed = os.environ.get("FAKE_TENSORRT_DOES") == "refuse"
        return not self._failed


class _Profile(Strict):
    def __init__(self):
        self._shapes = {}

    def set_shape(self, name, least, usual, most):
        assert all(isinstance(dims, Dims) for dims in (least, usual, most))
        assert all(a <= b <= c for a, b, c in zip(least, usual, most, strict=True))
        self._shapes[name] = (least, usual, most)


class _TimingCache(Strict):
    def __init__(self, data):
        self._data = data

    def combine(self, other, ignore_mismatch):
        self._data += other._data
        return True

    def serialize(self):
        return memoryview(self._data)


class _Config(Strict):
    settable = ("progress_monitor", *(("num_compute_capabilities",) if RTX else ()))

    def __init__(self):
        self._pools, self._profiles, self._timing = {}, [], None

    def set_memory_pool_limit(self, pool, size):
        self._pools[pool] = size

    def add_optimization_profile(self, profile):
        self._profiles.append(profile)
        return len(self._profiles) - 1

    if RTX:

        def set_compute_capability(self, capability, index):
            assert isinstance(capability, ComputeCapability)
            self._target = capability
    else:

        def create_timing_cache(self, data):
            return _TimingCache(bytes(data))

        def set_timing_cache(self, cache, ignore_mismatch):
            self._timing = cache
            return True

        def get_timing_cache(self):
            return self._timing


class Builder(Strict):
    def __init__(self, logger):
        assert isinstance(logger, ILogger)
        self._logger = logger

    def create_network(self, flags=0):
        wanted = 0 if VERSION.startswith("11") else 1 << 1
        assert flags == wanted, "not strongly typed"
        return _Network()

    def create_builder_config(self):
        return _Config()

    def create_optimization_profile(self):
        return _Profile()

    def build_serialized_network(self, network, config):
        assert set(config._profiles[0]._shapes) == set(network._inputs)
        monitor = getattr(config, "progress_monitor", None)
        if monitor is not None:
            monitor.phase_start("Building engine", None, 2)
            monitor.step_complete("Building engine", 0)
        _misbehave(self._logger)
        if os.environ.get("FAKE_TENSORRT_DOES") == "null":
            return None
        if config._timing is not None:
            config._timing._data += b"t"
        pools = {pool.name: size for pool, size in config._pools.items()}
        target = getattr(config, "_target", None)
        with LOG.open("a") as log:
            print(f"built {os.getpid()} {pools} {target and target.name}", file=log, flush=True)
        return memoryview(f"plan {VERSION} ".encode() + hashlib.sha256(network._model).digest())


def _misbehave(logger):
    does = os.environ.get("FAKE_TENSORRT_DOES", "")
    if does == "abort":
        print("terminate called after throwing an instance of 'nvinfer1::Oops'", flush=True)
        os.abort()
    if does in ("segv", "kill"):
        os.kill(os.getpid(), signal.SIGSEGV if does == "segv" else signal.SIGKILL)
    if does == "null":
        logger.log(1, "could not find any implementation for node conv_3")
    if does == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if does == "exception":
        raise RuntimeError("this is unforeseen")
    if does.startswith("sleep"):
        with LOG.open("a") as log:
            print(f"sleeping {os.getpid()}", file=log, flush=True)
        time.sleep(float(does.removeprefix("sleep")))


class Runtime(Strict):
    pass


if RTX:

    class ComputeCapability(enum.Enum, metaclass=_StrictEnum):
        CURRENT = 0
        SM75 = 75
        SM86 = 86
        SM120 = 120


if VERSION != "10.3.0":  # the path without a monitor is tried as well

    class IProgressMonitor:
        pass


def _gpu(driver=None):
    return cuda_device.Gpu(NAME, CAPABILITY) if NAME else None


cuda_device.current_gpu = _gpu
