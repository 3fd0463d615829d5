"""Embedding tables in eight bits: a row of a table is a vector of its own and has its own scale."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

LEAST_VALUES = 1 << 12
"""A smaller table is not worth the operators."""


def quantize_embeddings(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A graph in which every table that rows are gathered from is int8 with a scale a row.

    Gather comes first, so that only the rows that are wanted become numbers again: gathered int8
    rows times their gathered scales. The table's error is at most half a step, 1/254 of a row's
    largest value.
    """
    result = onnx.ModelProto()
    result.CopyFrom(proto)
    tables = {
        i.name: i
        for i in result.graph.initializer
        if len(i.dims) == 2
        and i.data_type == onnx.TensorProto.FLOAT
        and int(np.prod(i.dims)) >= LEAST_VALUES
    }
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in result.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    nodes: list[onnx.NodeProto] = []
    for node in result.graph.node:
        if node.op_type == "Gather" and _axis(node) == 0 and node.input[0] in tables:
            table = tables[node.input[0]]
            if len(users[table.name]) == 1:
                nodes += _replace(node, table, result.graph)
                continue
        nodes.append(node)
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    return result


def _axis(node: onnx.NodeProto) -> int:
    return next((int(a.i) for a in node.attribute if a.name == "axis"), 0)


def _replace(
    node: onnx.NodeProto, table: onnx.TensorProto, graph: onnx.GraphProto
) -> list[onnx.NodeProto]:
    name, rows, output = table.name, node.input[1], node.output[0]
    values = numpy_helper.to_array(table)
    scales = np.maximum(np.abs(values).max(1, keepdims=True), 1e-12) / np.float32(127)
    steps = np.round(values / scales).astype(np.int8)
    table.CopyFrom(numpy_helper.from_array(steps, name))
    for suffix, constant in (
        ("scales", scales.astype(np.float32)),
        ("one", np.float32(1)),
        ("zero", np.int8(0)),
    ):
        graph.initializer.append(numpy_helper.from_array(np.asarray(constant), f"{name}/{suffix}"))
    return [
        helper.make_node("Gather", [name, rows], [f"{output}/steps"], name=f"{node.name}/steps"),
        # What a cast would do; TensorRT takes int8 out of a graph by DequantizeLinear alone.
        helper.make_node(
            "DequantizeLinear",
            [f"{output}/steps", f"{name}/one", f"{name}/zero"],
            [f"{output}/values"],
            name=f"{node.name}/values",
        ),
        helper.make_node(
            "Gather", [f"{name}/scales", rows], [f"{output}/scales"], name=f"{node.name}/scales"
        ),
        helper.make_node("Mul", [f"{output}/values", f"{output}/scales"], [output], name=node.name),
    ]
