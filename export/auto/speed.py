"""How long each graph takes in each precision on the machine at hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.runners import OnnxRunner, Tensors
from mer_edge.bundle import GraphSpec, ShapeRange

ROUNDS, WARM_UPS = 25, 2
Candidate = tuple[str, str]
"""A graph and a precision."""
RANDOM_BELOW = {"faces": 256, "input_ids": 100}
"""Inputs that are random integers below this."""


def least_latency_ms(
    files: Mapping[Candidate, Path],
    specs: Mapping[str, GraphSpec],
    ranges: Mapping[str, ShapeRange],
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[Candidate, float]:
    """The least wall time of each candidate on one clip of typical size.

    The candidates run in turn, round by round, and of the rounds the fastest counts: whatever else
    the machine does only ever adds.
    """
    runners = {key: OnnxRunner({key[0]: file}) for key, file in files.items()}
    feeds = {graph: typical_feed(spec, ranges) for graph, spec in specs.items()}
    walls: dict[Candidate, list[float]] = {key: [] for key in files}
    for number in range(WARM_UPS + ROUNDS):
        for key, runner in runners.items():
            started = time.perf_counter()
            runner.run(key[0], feeds[key[0]])
            if number >= WARM_UPS:
                walls[key].append((time.perf_counter() - started) * 1e3)
        if progress:
            progress("measuring speed", number + 1, WARM_UPS + ROUNDS)
    return {key: min(values) for key, values in walls.items()}


def typical_feed(spec: GraphSpec, ranges: Mapping[str, ShapeRange]) -> Tensors:
    """Inputs of the sizes that the graph is optimised for, everything present."""
    rng = np.random.default_rng(0)
    feed: Tensors = {}
    for tensor in spec.inputs:
        shape = [size if isinstance(size, int) else ranges[size].optimum for size in tensor.shape]
        values: NDArray[Any]
        if tensor.name in RANDOM_BELOW:
            values = rng.integers(0, RANDOM_BELOW[tensor.name], shape)
        elif tensor.dtype in ("bool", "int64"):
            values = np.ones(shape)
        else:
            values = rng.uniform(-0.5, 0.5, shape)
        feed[tensor.name] = np.asarray(values, tensor.dtype)
    return feed
