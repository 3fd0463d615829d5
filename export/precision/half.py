"""fp32 graph -> fp16 graph with fp32 islands; inputs and outputs stay as they are.

TensorRT 11 has no builder flag for half precision any more: what a node computes in is what the
graph says. The islands are what half precision breaks: LayerNorm and softmax (a square or a sum of
exponentials above 65504), the log-mel front end (magnitudes of silence below 6e-8), face
normalisation and positions.
"""

from __future__ import annotations

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16

from export.precision.front_end import front_end
from export.precision.tidy import tidied

ISLANDS = (
    "LayerNormalization",
    "Softmax",
    "ReduceMean",
    "ReduceSum",
    "Div",
    "Range",
    "Sin",
    "Cos",
    "Tanh",
)
"""Operators that stay in fp32: normalisations, sums over many values, positions."""


def to_fp16(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A new graph; ``proto`` stays as it is."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    converted: onnx.ModelProto = convert_float_to_float16(
        copy,
        keep_io_types=True,
        op_block_list=list(ISLANDS),
        node_block_list=sorted(front_end(proto)),
    )
    return tidied(converted)
