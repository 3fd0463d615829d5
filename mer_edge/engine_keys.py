"""What an engine of a bundle's graph must have been made for: the same to who builds and who runs.

The key of RTX engines names no GPU: they are compiled in full where they run. By default one serves
every GPU from Ampere on; one may also be built for a single compute capability.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mer_edge.bundle import Bundle, GraphSpec, ShapeRange
from mer_edge.cuda_device import Gpu
from mer_edge.engine_cache import ANY, EngineKey
from mer_edge.errors import MerEdgeError

TURING = "7.5"
FALLBACKS = {"clip_segments": "segments"}
"""A manifest states the first where it is not the second."""


@dataclass(frozen=True)
class Device:
    """What engines are built with and for."""

    flavour: str
    version: str
    gpu: str
    compute_capability: str
    note: str = ""
    """What the user should know about it."""


def devices_for(flavour: str, version: str, gpu: Gpu) -> list[Device]:
    """Whose engines run on a GPU, the most special first."""
    if flavour == "tensorrt":
        return [Device(flavour, version, gpu.name, gpu.compute_capability)]
    own = Device(flavour, version, ANY, gpu.compute_capability)
    # What is built for all GPUs is not for Turing, which RTX builds for only when told to.
    return [own] if gpu.compute_capability == TURING else [own, Device(flavour, version, ANY, ANY)]


def engine_key(bundle: Bundle, graph: str, device: Device) -> EngineKey:
    """What an engine of a graph must have been made for to be used on a device."""
    spec = bundle.manifest.graphs[graph]
    return EngineKey(
        graph=graph,
        graph_sha256=spec.sha256.lower(),
        gpu=device.gpu,
        compute_capability=device.compute_capability,
        flavour=device.flavour,
        version=device.version,
        profile=dimension_ranges(graph, spec, bundle.manifest.shape_ranges),
    )


def dimension_ranges(
    graph: str, spec: GraphSpec, ranges: Mapping[str, ShapeRange]
) -> dict[str, ShapeRange]:
    """The ranges of the dynamic dimensions that a graph's inputs have, by name.

    Raises:
        MerEdgeError: the manifest states none for one of them.
    """
    found = {}
    for tensor in spec.inputs:
        for size in tensor.shape:
            if not isinstance(size, str):
                continue
            range_ = ranges.get(size) or ranges.get(FALLBACKS.get(size, size))
            if range_ is None:
                raise MerEdgeError(
                    f"{graph}.{tensor.name}: the manifest's shape_ranges has no {size!r}; expected "
                    "minimum, optimum and maximum of it; export the bundle again"
                )
            found[size] = range_
    return dict(sorted(found.items()))
