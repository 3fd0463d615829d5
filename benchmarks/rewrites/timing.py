"""Times to compare on a machine that others use, too: rounds in turn, medians of ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from mer_edge.engines import set_threads

Feed = dict[str, NDArray[Any]]


def open_session(source: str | bytes, threads: int) -> onnxruntime.InferenceSession:
    """``source``: a file's name, or the serialized graph."""
    options = onnxruntime.SessionOptions()
    set_threads(options, threads)
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def in_turn(
    runs: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, dict[str, float]]:
    """Per run its median and least milliseconds, and the median over the rounds of its ratio to
    the first.

    ``clock``: by default the processor's time, which counts what the work costs and not what
    others do meanwhile; right for one thread only.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for round_number in range(rounds + 1):
        for name, run in runs.items():
            started = clock()
            run()
            if round_number:  # the first is for warming up
                seconds[name].append(clock() - started)
    first = seconds[next(iter(runs))]
    return {
        name: {
            "ms": round(1e3 * statistics.median(values), 3),
            "least_ms": round(1e3 * min(values), 3),
            "ratio": round(statistics.median(v / f for v, f in zip(values, first, strict=True)), 4),
        }
        for name, values in seconds.items()
    }


def largest_difference(one: list[NDArray[Any]], other: list[NDArray[Any]]) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))


def random_feed(proto: onnx.ModelProto, sizes: Mapping[str, int], seed: int = 0) -> Feed:
    """Inputs of the graph's names and types; ``sizes``: of the dynamic dimensions."""
    rng = np.random.default_rng(seed)
    feed: Feed = {}
    for value in proto.graph.input:
        kind = value.type.tensor_type
        shape = [sizes[d.dim_param] if d.dim_param else d.dim_value for d in kind.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        if value.name == "input_ids":
            feed[value.name] = rng.integers(0, 500, shape)
        elif value.name in ("attention_mask", "token_mask"):
            feed[value.name] = np.ones(shape, dtype)
        elif dtype == np.uint8:
            feed[value.name] = rng.integers(0, 256, shape, dtype=np.uint8)
        else:
            feed[value.name] = rng.normal(0, 0.3, shape).astype(dtype)
    return feed
