"""Weights in eight bits whose sums fit into 16 bits, on every processor.

x86 processors without VNNI multiply unsigned by signed bytes with VPMADDUBSW, which adds two
neighbouring products and saturates at 16 bits (Intel 64 and IA-32 Architectures Software
Developer's Manual, volume 2; Intel's oneDNN guide, "Nuances of int8 computations"). Two products
fit if the two weights add up to at most 128: 255 x 128 = 32,640. A channel's scale is therefore
chosen by its largest pair of neighbours, not by its largest weight. For weights that are normally
distributed a step is then 1.33 times that of eight full bits; weights in 7 bits, the usual way
out, have steps of 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

LARGEST_INPUT = 255
"""Of an unsigned byte."""
LAYERS = ("Conv", "Gemm", "MatMul", "MatMulInteger")
"""What multiplies by weights."""


def weight_ranges(proto: onnx.ModelProto, excluded: frozenset[str]) -> dict[str, Any]:
    """Per weight of an fp32 graph the range of each output channel, as ONNX Runtime's quantisers
    take it (``TensorQuantOverrides``).

    Args:
        excluded: names of nodes that are not quantised.
    """
    weights = {i.name: i for i in proto.graph.initializer}
    ranges: dict[str, Any] = {}
    for node in proto.graph.node:
        if node.op_type not in LAYERS or node.name in excluded or node.input[1] not in weights:
            continue
        values = numpy_helper.to_array(weights[node.input[1]])
        if values.ndim >= 2:
            axis = _channel_axis(node, values.ndim)
            ranges[node.input[1]] = [
                {"axis": axis, "rmin": -limit, "rmax": limit}
                for limit in _channel_ranges(_as_rows(node, values))
            ]
    return ranges


def largest_pair_sum(proto: onnx.ModelProto) -> int:
    """The largest magnitude that two neighbouring products of an INT8 graph can add up to, inputs
    being 255; above ``mer_edge.processor.LARGEST_SUM`` some processors compute something else. 0
    without weights in eight bits."""
    return max((_pair_sum(rows) for rows in _int8_weights(proto)), default=0)


def _int8_weights(proto: onnx.ModelProto) -> Iterator[NDArray[np.int64]]:
    """The weights of each layer in eight bits, shape = (K, channels)."""
    weights = {i.name: i for i in proto.graph.initializer if i.data_type == onnx.TensorProto.INT8}
    dequantized = {
        node.output[0]: node.input[0]
        for node in proto.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in weights
    }
    for node in proto.graph.node:
        if node.op_type in LAYERS:
            name = dequantized.get(node.input[1], node.input[1])
            if name in weights:
                yield _as_rows(node, numpy_helper.to_array(weights[name]).astype(np.int64))


def _as_rows(node: onnx.NodeProto, weights: NDArray[Any]) -> NDArray[Any]:
    """A layer's weights (K, channels), K in the order in which engines add the products up: of a
    convolution the input channels of one tap after the other."""
    if node.op_type == "Conv":
        rows = np.moveaxis(weights, (0, 1), (-1, -2)).reshape(-1, weights.shape[0])
    elif _is_transposed(node):
        rows = weights.T
    else:
        rows = weights.reshape(-1, weights.shape[-1])
    return np.asarray(rows)


def _channel_axis(node: onnx.NodeProto, dimensions: int) -> int:
    return 0 if node.op_type == "Conv" or _is_transposed(node) else dimensions - 1


def _is_transposed(node: onnx.NodeProto) -> bool:
    return node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute)


def _channel_ranges(rows: NDArray[np.floating]) -> NDArray[np.floating]:
    """By channel the value that becomes 127: no pair adds up to more, and rounding the two of it
    adds at most one."""
    if len(rows) % 2:
        # Engines fill up an odd number in ways of their own.
        return np.asarray(2 * np.abs(rows).max(0))
    return np.asarray(_pairs(rows).max(0))


def _pairs(rows: NDArray[Any]) -> NDArray[Any]:
    """The magnitudes that neighbours (2 k, 2 k + 1) add up to, (K / 2, channels): products of
    opposite signs only take away from each other."""
    both = rows.reshape(-1, 2, rows.shape[1])
    return np.asarray(np.maximum(np.maximum(both, 0).sum(1), np.maximum(-both, 0).sum(1)))


def _pair_sum(rows: NDArray[np.int64]) -> int:
    if len(rows) % 2:
        return 2 * LARGEST_INPUT * int(np.abs(rows).max())
    return LARGEST_INPUT * int(_pairs(rows).max())
