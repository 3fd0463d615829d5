"""Shapes outside the bundle's ranges are refused by name, before they reach any engine.

An engine built for ranges answers with a number, or with wrong values; one that was not may run for
minutes. Here is the one place where it is asked, for every backend.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mer_edge.bundle import GRAPHS, Bundle, GraphSpec, ShapeRange
from mer_edge.errors import MerEdgeError
from runtime.arrays import Array
from runtime.backend import Backend, LoadedGraph

ADVICE = {
    "batch": "run fewer clips at once",
    "segments": "run fewer segments at once",
    "clip_segments": "cut the clip into shorter utterances",
    "tokens": "pad a shorter text and cut a longer one",
}


def load_graphs(bundle: Bundle, backend: Backend) -> dict[str, LoadedGraph]:
    """The bundle's graphs, ready to run on shapes that they were made for.

    Raises:
        MerEdgeError: the engine refuses a graph, or cannot have the device.
    """
    specs = bundle.manifest.graphs
    names = [name for name in GRAPHS if name in specs]

    def load(name: str) -> LoadedGraph:
        return backend.load(bundle.graph_path(name), specs[name])

    if backend.loaders == 1:
        loaded = {name: load(name) for name in names}
    else:
        with ThreadPoolExecutor(backend.loaders) as pool:
            loaded = dict(zip(names, pool.map(load, names), strict=True))
    ranges = bundle.manifest.shape_ranges
    return {name: RangedGraph(name, loaded[name], specs[name], ranges) for name in names}


class RangedGraph:
    """Passes on to a loaded graph what it was made for.

    Args:
        name: of ``mer_edge.bundle.GRAPHS``.
        ranges: of the manifest.
    """

    def __init__(
        self, name: str, graph: LoadedGraph, spec: GraphSpec, ranges: Mapping[str, ShapeRange]
    ) -> None:
        self._name = name
        self._graph = graph
        self._spec = spec
        self._ranges = dict(ranges)
        if "segments" in ranges:
            self._ranges.setdefault("clip_segments", ranges["segments"])

    @property
    def engine(self) -> str:
        """See ``runtime.backend.LoadedGraph``."""
        return self._graph.engine

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Any]:
        """See ``runtime.backend.LoadedGraph``.

        Raises:
            MerEdgeError: also where a size is not the graph's, is outside its range, or where two
                inputs differ in one that they share.
        """
        sizes: dict[str, int] = {}
        for tensor in self._spec.inputs:
            shape = feeds[tensor.name].shape
            if len(shape) != len(tensor.shape):
                self._refuse(f"{tensor.name} has the shape {shape}", f"{tensor.shape}")
            for size, stated in zip(shape, tensor.shape, strict=True):
                self._check(f"{tensor.name} {shape}", size, stated, sizes)
        return self._graph.run(feeds)

    def _check(self, found: str, size: int, stated: int | str, sizes: dict[str, int]) -> None:
        if isinstance(stated, int):
            if size != stated:
                self._refuse(found, f"{stated} where it has {size}")
            return
        known = sizes.setdefault(stated, size)
        if size != known:
            self._refuse(found, f"{known} {stated} as in its other inputs")
        allowed = self._ranges.get(stated)
        if allowed and not allowed.minimum <= size <= allowed.maximum:
            advice = ADVICE.get(stated, "run another size")
            self._refuse(
                f"{found} has {stated} {size}",
                f"{allowed.minimum} to {allowed.maximum}; {advice}",
            )

    def _refuse(self, found: str, expected: str) -> None:
        raise MerEdgeError(f"the {self._name} graph: {found}; expected {expected}")
