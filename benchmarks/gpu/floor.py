"""How fast it could be at all: every weight is read once a clip, at the memory's bandwidth."""

from __future__ import annotations

import math
from collections.abc import Callable

import onnx
from onnx import helper

from mer_edge.bundle import Bundle
from runtime.cuda.cudart import Cuda

COPY_BYTES = 256 << 20
COPIES = 20
RUNS = 5


def copy_bandwidth(cuda: Cuda) -> float:
    """Bytes a second that a copy within the GPU's memory reads and writes, the best of some runs.

    Raises:
        MerEdgeError: there is less free memory than two times 256 MB.
    """
    source, target = (cuda.malloc(COPY_BYTES, "measuring the bandwidth") for _ in range(2))
    try:
        return 2 * COPY_BYTES * COPIES / min(_time_s(cuda, source, target) for _ in range(RUNS))
    finally:
        cuda.free(source)
        cuda.free(target)


def _time_s(cuda: Cuda, source: int, target: int) -> float:
    stream = cuda.new_stream()
    start, end = (cuda.new_event(timed=True) for _ in range(2))
    cuda.copy(target, source, COPY_BYTES, stream)
    cuda.record(start, stream)
    for _ in range(COPIES):
        cuda.copy(target, source, COPY_BYTES, stream)
    cuda.record(end, stream)
    cuda.synchronize(end)
    return cuda.elapsed_ms(start, end) / 1e3


def weight_bytes(bundle: Bundle, read: Callable[[str], onnx.ModelProto] = onnx.load) -> int:
    """Bytes of the weights that one clip needs, in the precision of the bundle's graphs.

    Tables that a Gather looks rows up in are left out: of an embedding a clip reads its tokens'
    rows alone.
    """
    graphs = bundle.manifest.graphs
    return sum(_bytes_of(read(str(bundle.graph_path(name)))) for name in graphs)


def _bytes_of(model: onnx.ModelProto) -> int:
    tables = {node.input[0] for node in model.graph.node if node.op_type == "Gather"}
    # A table in eight bits is looked up before or after it is made floating point.
    tables |= {
        node.input[0]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.output[0] in tables
    }
    return sum(
        math.prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        for tensor in model.graph.initializer
        if tensor.name not in tables
    )
