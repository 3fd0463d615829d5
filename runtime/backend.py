"""What a backend is: something that loads a graph and runs it. One file per backend."""

from __future__ import annotations

import os
from collections.abc import Mapping
from numbers import Integral
from pathlib import Path
from typing import Any, Protocol

from mer_edge.bundle import Bundle, GraphSpec
from mer_edge.errors import MerEdgeError
from runtime.arrays import Array, ArrayOps

DEVICES = ("cpu", "cuda", "tensorrt", "tensorrt-rtx")
"""What ``--device`` takes."""
MAX_THREADS = 64
"""Where a machine has fewer cores. An engine starts all that it is told: 100,000 stop a machine."""


class LoadedGraph(Protocol):
    """A graph that is ready to run."""

    @property
    def engine(self) -> str:
        """What really runs it, for example ``onnxruntime CPUExecutionProvider``."""
        ...

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Any]:
        """Outputs by name for inputs by name, both as the graph's specification states them.

        The outputs are ``Array``s of the backend's ``arrays``; an engine with a device may return
        before they are there.

        Raises:
            MerEdgeError: the engine failed, or ran on another device than asked for.
        """
        ...


class Backend(Protocol):
    """One inference engine on one device."""

    @property
    def arrays(self) -> ArrayOps:
        """What moves rows between its graphs."""
        ...

    @property
    def loaders(self) -> int:
        """How many threads may call ``load`` at once, because it uses one core only."""
        ...

    def load(self, path: Path, spec: GraphSpec) -> LoadedGraph:
        """Make ``path`` ready to run.

        Raises:
            MerEdgeError: the engine refuses the file or cannot have the device.
        """
        ...


def open_backend(device: str, bundle: Bundle, threads: int | None = None) -> Backend:
    """The backend for a device, ready to load graphs.

    Args:
        device: one of ``DEVICES``.
        bundle: whose graphs it will load; on a GPU their ranges of shapes and engines count.
        threads: CPU threads a graph may use; None leaves it to the engine.

    Raises:
        MerEdgeError: no such device, or this machine does not have it. There is no falling back.
        MissingExtraError: the engine's package is not installed.
    """
    check_device(device)
    check_threads(threads)
    if device != "cpu":
        from runtime.cuda.backend import open_cuda_backend

        return open_cuda_backend(bundle, device, threads)
    from runtime.ort import OrtBackend

    return OrtBackend(device, threads)


def check_device(device: str) -> None:
    """Raise a MerEdgeError unless ``device`` is one of ``DEVICES``; the machine may lack it."""
    if device not in DEVICES:
        raise MerEdgeError(f"--device {device}: no such device; choose from {', '.join(DEVICES)}")


def check_threads(threads: int | None) -> None:
    """Raise a MerEdgeError for a number of threads that nobody should start; None is the usual."""
    if threads is not None:
        check_count("--threads", threads)


def check_count(option: str, threads: int) -> None:
    """As ``check_threads``, for any option that starts some."""
    most = max(MAX_THREADS, os.cpu_count() or 1)
    if not isinstance(threads, Integral) or not 1 <= threads <= most:
        raise MerEdgeError(f"{option} {threads}: expected a whole number from 1 to {most}")
