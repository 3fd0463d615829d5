"""Optimisation profiles: the smallest, the usual and the largest shape of every input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mer_edge.bundle import GraphSpec, ShapeRange
from mer_edge.errors import MerEdgeError

FALLBACKS = {"clip_segments": "segments"}
"""A manifest states the first where it is not the second."""


@dataclass(frozen=True)
class InputProfile:
    """Shapes of one input; all of the same rank."""

    name: str
    minimum: tuple[int, ...]
    optimum: tuple[int, ...]
    maximum: tuple[int, ...]


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


def input_profiles(spec: GraphSpec, ranges: Mapping[str, ShapeRange]) -> list[InputProfile]:
    """The profile of every input, from the ranges of :func:`dimension_ranges`."""
    return [
        InputProfile(
            tensor.name,
            tuple(size if isinstance(size, int) else ranges[size].minimum for size in tensor.shape),
            tuple(size if isinstance(size, int) else ranges[size].optimum for size in tensor.shape),
            tuple(size if isinstance(size, int) else ranges[size].maximum for size in tensor.shape),
        )
        for tensor in spec.inputs
    ]
