"""What runs in the child: the only code of the build that imports TensorRT."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mer_edge.files import disk_errors

Progress = Callable[[str, int, int], None]


def describe(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Version of the flavour, what it builds for, and the GPU of this machine, if any.

    Raises:
        MerEdgeError: the flavour cannot be had, or the CUDA driver does not work.
    """
    from mer_edge import cuda_device
    from mer_edge.tensorrt_api import load_tensorrt

    api = load_tensorrt(request["flavour"])
    gpu = cuda_device.current_gpu()
    return {
        "version": api.version,
        "compute_capabilities": list(api.compute_capabilities()),
        "gpu": None if gpu is None else asdict(gpu),
    }


def build(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """``builder.build`` of a ``BuildRequest``; every error of the disk is one of ours."""
    import msgspec

    from export.tensorrt import builder

    asked = msgspec.convert(request, builder.BuildRequest)
    advice = "nothing was kept; free some space or choose another --cache"
    with disk_errors(Path(asked.plan), "writing the engine", advice):
        return asdict(builder.build(asked, progress))


TASKS: dict[str, Callable[[dict[str, Any], Progress], dict[str, Any]]] = {
    "describe": describe,
    "build": build,
}
