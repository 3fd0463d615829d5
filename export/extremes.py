"""The longest shapes of the declared ranges, as far as they can be run at export.

A graph alone runs them, on inputs that clips have given and that are repeated up to the size.
Through the whole chain they would take minutes of encoders: a batch of the longest clips has 16 x
256 segments. The shortest shapes are among the random cases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from export.graphs import GraphPlan
from export.runners import Tensors
from mer_edge.bundle import ShapeRange

MOST_TOKENS = 2048
"""Of all rows of the text graph together; 16 x 512 take BERT-base many seconds on 2 cores."""


@dataclass(frozen=True)
class Extreme:
    """Sizes of a graph's dynamic dimensions, at least one of them the largest declared."""

    graph: str
    sizes: Mapping[str, int]

    def __str__(self) -> str:
        return f"{self.graph} alone at " + ", ".join(f"{k} {v}" for k, v in self.sizes.items())


def extremes_of(
    plan: GraphPlan, ranges: Mapping[str, ShapeRange]
) -> tuple[list[Extreme], list[Extreme]]:
    """What to run and what is too much to run: everything at its largest at once, or where that
    is too much each dimension at its largest with the others at their smallest."""
    names = sorted({name for sizes in plan.dynamic.values() for name in sizes.values()})
    # Of encoders that see tokens the number of them is the text's, which other cases vary.
    dimensions = [name for name in names if plan.name == "text" or name != "tokens"]
    largest = Extreme(plan.name, {name: ranges[name].maximum for name in dimensions})
    if plan.name != "text" or np.prod(list(largest.sizes.values())) <= MOST_TOKENS:
        return [largest], []
    smallest = {name: ranges[name].minimum for name in dimensions}
    single = [Extreme(plan.name, smallest | {name: ranges[name].maximum}) for name in dimensions]
    return single, [largest]


def repeated(plan: GraphPlan, feed: Tensors, sizes: Mapping[str, int]) -> Tensors:
    """``feed`` with its dynamic dimensions repeated, or cut, to ``sizes``."""
    result = {}
    for name, array in feed.items():
        for axis, dimension in plan.dynamic[name].items():
            size = sizes.get(dimension, array.shape[axis])
            array = np.take(array, np.arange(size) % array.shape[axis], axis=axis)
        result[name] = np.ascontiguousarray(array)
    return result
