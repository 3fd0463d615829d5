"""fp32 graph -> fp16 graph with fp32 islands; inputs and outputs stay as they are.

TensorRT 11 has no builder flag for half precision any more: what a node computes in is what the
graph says. The islands are what half precision breaks: LayerNorm and softmax (a square or a sum of
exponentials above 65504), the log-mel front end (magnitudes of silence below 6e-8), face
normalisation and positions.
"""

from __future__ import annotations

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16

from export.precision.casts import without_detours
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


def to_fp16(proto: onnx.ModelProto, islands: frozenset[str] = frozenset()) -> onnx.ModelProto:
    """A new graph; ``proto`` stays as it is.

    Args:
        islands: names of further nodes that stay in fp32.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    converted = convert_float_to_float16(
        copy,
        keep_io_types=True,
        op_block_list=list(ISLANDS),
        node_block_list=sorted(islands | front_end(proto) | positions(proto)),
    )
    return tidied(without_detours(tidied(converted)))


def positions(proto: onnx.ModelProto) -> frozenset[str]:
    """The names of the nodes that count positions, up to the sines and cosines of them."""
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in proto.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    made = {name: node for node in proto.graph.node for name in node.output}
    ranges = [node for node in proto.graph.node if node.op_type == "Range"]
    found = {made[name].name for node in ranges for name in node.input if name in made}
    waiting = list(ranges)
    while waiting:
        node = waiting.pop()
        if node.name not in found:
            found.add(node.name)
            if node.op_type not in ("Sin", "Cos"):
                waiting += [user for name in node.output for user in users.get(name, [])]
    return frozenset(found)
