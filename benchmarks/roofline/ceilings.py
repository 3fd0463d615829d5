"""What the machine can do at best: products of large matrices, and moving bytes."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
from onnx import TensorProto, helper

from benchmarks.rewrites.timing import open_session

SIDE = 768
"""Of the square matrices: a run of a few milliseconds, which other programs do not always meet."""
BYTES = 128 * 1024 * 1024
"""Of each array that is moved: several times the last cache."""
TRIES = 5
"""Runs of a ceiling a round: it is what is possible at best."""


def product(kind: str, threads: int) -> Callable[[], float]:
    """A run of ``fp32`` (MatMul) or ``int8`` (MatMulInteger, uint8 times int8): operations/s."""
    rng = np.random.default_rng(0)
    if kind == "fp32":
        left, right, out = TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.FLOAT
        arrays = [rng.normal(size=(SIDE, SIDE)).astype(np.float32) for _ in range(2)]
    else:
        left, right, out = TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32
        arrays = [
            rng.integers(0, 256, (SIDE, SIDE), np.uint8),
            rng.integers(-128, 128, (SIDE, SIDE), np.int8),
        ]
    # The right factor is a constant, as a network's weights are: engines lay it out beforehand.
    weights = onnx.numpy_helper.from_array(arrays[1], "b")
    assert weights.data_type == right
    graph = helper.make_graph(
        [helper.make_node("MatMul" if kind == "fp32" else "MatMulInteger", ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", left, (SIDE, SIDE))],
        [helper.make_tensor_value_info("c", out, (SIDE, SIDE))],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = open_session(model.SerializeToString(), threads)

    def run() -> float:
        started = time.perf_counter()
        session.run(None, {"a": arrays[0]})
        return 2 * SIDE**3 / (time.perf_counter() - started)

    return run


def moving(kind: str, threads: int) -> Callable[[], float]:
    """A run of ``copy`` (as in STREAM: read and written bytes) or ``read``: bytes/s."""
    source = np.ones(BYTES // 4, np.float32)
    target = np.zeros_like(source)
    pieces = np.array_split(np.arange(len(source)), threads)
    parts = [slice(int(piece[0]), int(piece[-1]) + 1) for piece in pieces]
    pool = ThreadPoolExecutor(threads)

    def work(part: slice) -> None:
        if kind == "copy":
            np.copyto(target[part], source[part])
        else:
            source[part].max()  # one comparison a value, which vectors do faster than memory reads

    def run() -> float:
        started = time.perf_counter()
        list(pool.map(work, parts))
        moved = source.nbytes * (2 if kind == "copy" else 1)
        return moved / (time.perf_counter() - started)

    return run
