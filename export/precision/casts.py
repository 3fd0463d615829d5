"""Casts that the conversion to half precision puts where nothing is half."""

from __future__ import annotations

import onnx
from onnx import TensorProto


def without_detours(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A graph without the way fp32 -> fp16 -> fp32 between two nodes that stay in fp32.

    The converter puts one between every two of them. It costs the precision they are there to
    keep, and TensorRT refuses it around Range.

    Args:
        proto: its nodes in the order of their computation; changed.
    """
    inferred = onnx.shape_inference.infer_shapes(proto).graph
    types = {i.name: i.data_type for i in proto.graph.initializer}
    for value in (*inferred.value_info, *inferred.input):
        types[value.name] = value.type.tensor_type.elem_type
    casts = {n.output[0]: n for n in proto.graph.node if n.op_type == "Cast"}
    sources: dict[str, str] = {}
    for back in casts.values():
        away = casts.get(back.input[0])
        if away is None or types.get(away.input[0]) != TensorProto.FLOAT:
            continue
        if (_target(away), _target(back)) == (TensorProto.FLOAT16, TensorProto.FLOAT):
            sources[back.output[0]] = away.input[0]
    for node in proto.graph.node:
        node.input[:] = [sources.get(name, name) for name in node.input]
        if node.op_type == "Cast" and node.output[0] in sources:
            # Of no use any more, except where it gives an output of the graph.
            node.op_type, node.input[0] = "Identity", sources[node.output[0]]
            del node.attribute[:]
    return proto


def _target(cast: onnx.NodeProto) -> int:
    return next(int(a.i) for a in cast.attribute if a.name == "to")
