"""Shape buckets: sizes are rounded up to a few, so that a captured CUDA graph is met again.

A graph that was captured runs one shape only. Rounding costs at most a quarter more work, and for
up to 8 rows none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mer_edge.bundle import GraphSpec, ShapeRange, TensorSpec

EXACT_UNTIL = 8
STEPS_PER_DOUBLING = 4
Sizes = dict[str, int]
"""By the name of a dynamic dimension."""


@dataclass(frozen=True)
class Buckets:
    """Which sizes a graph is run at.

    Args:
        ranges: of the graph's dynamic dimensions; no bucket lies beyond.
        exact: run every size as it comes.
    """

    ranges: Mapping[str, ShapeRange]
    exact: bool = False

    def of(self, sizes: Sizes) -> Sizes:
        """The sizes to run at, each the same or a little more."""
        return {
            name: size if self.exact else round_up(size, self.ranges[name].maximum)
            for name, size in sizes.items()
        }


def round_up(size: int, maximum: int) -> int:
    """The next of 1, 2, ..., 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, ..., or the maximum."""
    if size <= EXACT_UNTIL:
        return size
    step = (1 << (size - 1).bit_length()) // 2 // STEPS_PER_DOUBLING
    return min(-(-size // step) * step, maximum)


def sizes_of(spec: GraphSpec, shapes: Mapping[str, tuple[int, ...]]) -> Sizes:
    """The dynamic sizes of a graph's inputs, by name."""
    return {
        stated: size
        for tensor in spec.inputs
        for stated, size in zip(tensor.shape, shapes[tensor.name], strict=True)
        if isinstance(stated, str)
    }


def shape_at(tensor: TensorSpec, sizes: Sizes) -> tuple[int, ...]:
    """A tensor's shape at given sizes."""
    return tuple(size if isinstance(size, int) else sizes[size] for size in tensor.shape)
