"""Optimisation profiles: the smallest, the usual and the largest shape of every input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mer_edge.bundle import GraphSpec, ShapeRange


@dataclass(frozen=True)
class InputProfile:
    """Shapes of one input; all of the same rank."""

    name: str
    minimum: tuple[int, ...]
    optimum: tuple[int, ...]
    maximum: tuple[int, ...]


def input_profiles(spec: GraphSpec, ranges: Mapping[str, ShapeRange]) -> list[InputProfile]:
    """The profile of every input, from ``mer_edge.engine_keys.dimension_ranges``."""
    return [
        InputProfile(
            tensor.name,
            tuple(size if isinstance(size, int) else ranges[size].minimum for size in tensor.shape),
            tuple(size if isinstance(size, int) else ranges[size].optimum for size in tensor.shape),
            tuple(size if isinstance(size, int) else ranges[size].maximum for size in tensor.shape),
        )
        for tensor in spec.inputs
    ]
