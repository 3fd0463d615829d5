"""ONNX Runtime on the CPU, and on CUDA where the installed onnxruntime-gpu can have it.

The CUDA path has not been run on a GPU by the project's tests: what is tested is that it refuses to
work when the session has no CUDA.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_edge.bundle import GraphSpec
from mer_edge.engines import import_onnxruntime, refuse_conflict, set_threads
from mer_edge.errors import MerEdgeError, MissingExtraError
from mer_edge.processor import exact_int8, needs_exact_int8
from runtime.arrays import HOST, Array, HostArrays
from runtime.cores import usable_cores

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
LOG_ERRORS_ONLY = 3
SLOWER_FUSIONS = ["SkipLayerNormFusion"]
"""On the CPU what it makes of an addition and a normalisation runs on one thread, the two by
themselves on all: 34.1 instead of 37.0 ms a text, 31.6 instead of 33.8 ms for ``visual`` (fp32,
preset paper, two threads, medians of 15 in turn)."""


class OrtBackend:
    """Loads graphs into ONNX Runtime sessions for one device.

    Raises:
        MerEdgeError: two ONNX Runtime packages are installed, or CUDA cannot be had.
        MissingExtraError: onnxruntime is not installed.
    """

    arrays: HostArrays = HOST

    def __init__(self, device: str, threads: int | None) -> None:
        refuse_conflict()
        try:
            onnxruntime = import_onnxruntime()
        except ImportError as error:
            extra = "gpu" if device == "cuda" else "cpu"
            package = "onnxruntime-gpu" if device == "cuda" else "onnxruntime"
            raise MissingExtraError("running a bundle", package, extra) from error
        self._onnxruntime = onnxruntime
        self._provider = PROVIDERS[device]
        self._threads = threads
        self.loaders = (threads or usable_cores()) if device == "cpu" else 1
        available = onnxruntime.get_available_providers()
        if self._provider not in available:
            raise MerEdgeError(
                f"--device {device}: the installed onnxruntime {onnxruntime.__version__} offers "
                f"{', '.join(available)}; use --device cpu, or run: pip uninstall onnxruntime "
                "and then: pip install 'mer-edge[gpu]'"
            )
        if device == "cuda" and hasattr(onnxruntime, "preload_dlls"):
            # Finds the CUDA and cuDNN libraries of pip packages, which are on no library path.
            onnxruntime.preload_dlls()

    def load(self, path: Path, spec: GraphSpec) -> OrtGraph:
        """A session for ``path`` that has this backend's provider.

        Raises:
            MerEdgeError: not an ONNX file the engine takes, other inputs or outputs than ``spec``
                says, or the provider could not be had.
        """
        session = self.open_session(path, spec)
        return OrtGraph(session, path, spec, self._provider)

    def open_session(
        self, path: Path, spec: GraphSpec, provider_options: Mapping[str, str] | None = None
    ) -> Any:
        """A session with this backend's provider and no other, as ``load`` makes it.

        Args:
            provider_options: of the provider; None for its defaults.

        Raises:
            MerEdgeError: see ``load``.
        """
        chosen: dict[str, Any] = {}
        if provider_options is not None:
            chosen["provider_options"] = [dict(provider_options)]
        if self._provider == PROVIDERS["cpu"]:
            chosen["disabled_optimizers"] = SLOWER_FUSIONS
        try:
            session = self._onnxruntime.InferenceSession(
                str(path),
                self._options(spec),
                providers=[self._provider],
                **chosen,
            )
        except Exception as error:  # the engine's exceptions have no common class of their own
            raise MerEdgeError(
                f"{path}: onnxruntime {self._onnxruntime.__version__} cannot load it: "
                f"{first_line(error)}"
            ) from error
        session.disable_fallback()
        _check_names(session, path, spec)
        check_provider(session, path, self._provider)
        return session

    def _options(self, spec: GraphSpec) -> Any:
        options = self._onnxruntime.SessionOptions()
        level = self._onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.graph_optimization_level = level
        threads = 1 if _is_small(spec) else self._threads or _default_threads()
        set_threads(options, threads)
        options.log_severity_level = LOG_ERRORS_ONLY
        if needs_exact_int8(spec):
            exact_int8(options)
        return options


def _is_small(spec: GraphSpec) -> bool:
    """Whether it is the fusion graph, in which a thread would be woken for products of a few rows:
    0.6 ms a clip alone, 2.7 ms with two threads on two cores (preset paper, medians of 12)."""
    return any(tensor.name == "logits" for tensor in spec.outputs)


def _default_threads() -> int:
    """0 lets the engine count the cores, except where this process may not use them all.

    The engine counts the machine's cores and pins its threads to them, which fails or crowds a few
    cores under taskset and in containers.
    """
    usable = usable_cores()
    return 0 if usable == os.cpu_count() else usable


def _check_names(session: Any, path: Path, spec: GraphSpec) -> None:
    for kind, found, stated in (
        ("inputs", session.get_inputs(), spec.inputs),
        ("outputs", session.get_outputs(), spec.outputs),
    ):
        has, wants = sorted(t.name for t in found), sorted(t.name for t in stated)
        if has != wants:
            raise MerEdgeError(
                f"{path}: the graph's {kind} are {', '.join(has)}; the manifest says "
                f"{', '.join(wants)}; export the bundle again"
            )


class OrtGraph:
    """One session. Inputs are cast to the types the manifest states."""

    def __init__(self, session: Any, path: Path, spec: GraphSpec, provider: str) -> None:
        self._session = session
        self._path = path
        self._dtypes = {tensor.name: np.dtype(tensor.dtype) for tensor in spec.inputs}
        self._outputs = [tensor.name for tensor in spec.outputs]
        self._provider = provider
        self._checked_after_run = False

    @property
    def engine(self) -> str:
        """``onnxruntime`` and the provider the session itself names."""
        return f"onnxruntime {self._session.get_providers()[0]}"

    def run(self, feeds: Mapping[str, Array]) -> dict[str, NDArray[Any]]:
        """See ``runtime.backend.LoadedGraph``."""
        arrays = {
            name: np.ascontiguousarray(HOST.to_host(feeds[name]), dtype=dtype)
            for name, dtype in self._dtypes.items()
        }
        try:
            outputs = self._session.run(self._outputs, arrays)
        except Exception as error:  # the engine's exceptions have no common class of their own
            shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
            raise MerEdgeError(
                f"{self._path}: onnxruntime failed on {shapes}: {first_line(error)}"
            ) from error
        if not self._checked_after_run:
            check_provider(self._session, self._path, self._provider)
            self._checked_after_run = True
        return dict(zip(self._outputs, outputs, strict=True))


def check_provider(session: Any, path: Path, provider: str) -> None:
    """What was compiled in is not what works: ask the session what it has.

    Raises:
        MerEdgeError: it is not the provider that was asked for.
    """
    has = session.get_providers()
    if has[0] != provider:
        raise MerEdgeError(
            f"{path}: asked for {provider}, the session runs on {', '.join(has)}; "
            "run mer-edge doctor to see why, or use --device cpu"
        )


def first_line(error: Exception) -> str:
    """What an engine's exception says first."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
