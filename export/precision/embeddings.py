"""Embedding tables in eight bits: a row of a table is a vector of its own and has its own scale."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from export.precision.recipe import Recipe

LEAST_VALUES = 1 << 12
"""A smaller table is not worth the operators."""


def quantize_embeddings(proto: onnx.ModelProto, recipe: Recipe = "cpu") -> onnx.ModelProto:
    """A graph in which every table that rows are gathered from is int8 with a scale a row.

    For ``cpu`` Gather comes first, so that only the rows that are wanted become numbers again:
    gathered int8 rows times their gathered scales. TensorRT takes int8 out of a constant by
    DequantizeLinear alone, which it does once, when it builds; there that comes first. A value's
    error is at most half a step, 1/254 of its row's largest.
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
                replace = _gather_first if recipe == "cpu" else _dequantize_first
                nodes += replace(node, table, result.graph)
                continue
        nodes.append(node)
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    return result


def _axis(node: onnx.NodeProto) -> int:
    return next((int(a.i) for a in node.attribute if a.name == "axis"), 0)


def _in_steps(table: onnx.TensorProto) -> NDArray[np.float32]:
    """Put int8 in the place of the table's values; returns the scales, shape = (rows, 1)."""
    values = numpy_helper.to_array(table)
    scales = np.maximum(np.abs(values).max(1, keepdims=True), 1e-12) / np.float32(127)
    steps = np.round(values / scales).astype(np.int8)
    table.CopyFrom(numpy_helper.from_array(steps, table.name))
    return np.asarray(scales, np.float32)


def _add(graph: onnx.GraphProto, name: str, value: object) -> str:
    graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return name


def _dequantize_first(
    node: onnx.NodeProto, table: onnx.TensorProto, graph: onnx.GraphProto
) -> list[onnx.NodeProto]:
    name, values = table.name, f"{table.name}/values"
    scales = _in_steps(table)[:, 0]
    inputs = [
        name,
        _add(graph, f"{name}/scales", scales),
        _add(graph, f"{name}/zeros", np.zeros(len(scales), np.int8)),
    ]
    return [
        helper.make_node("DequantizeLinear", inputs, [values], name=values, axis=0),
        helper.make_node("Gather", [values, node.input[1]], node.output, name=node.name),
    ]


def _gather_first(
    node: onnx.NodeProto, table: onnx.TensorProto, graph: onnx.GraphProto
) -> list[onnx.NodeProto]:
    name, rows, output = table.name, node.input[1], node.output[0]
    _add(graph, f"{name}/scales", _in_steps(table))
    _add(graph, f"{name}/one", np.float32(1))
    _add(graph, f"{name}/zero", np.int8(0))
    return [
        helper.make_node("Gather", [name, rows], [f"{output}/steps"], name=f"{node.name}/steps"),
        helper.make_node(
            "DequantizeLinear",  # what a cast would do
            [f"{output}/steps", f"{name}/one", f"{name}/zero"],
            [f"{output}/values"],
            name=f"{node.name}/values",
        ),
        helper.make_node(
            "Gather", [f"{name}/scales", rows], [f"{output}/scales"], name=f"{node.name}/scales"
        ),
        helper.make_node("Mul", [f"{output}/values", f"{output}/scales"], [output], name=node.name),
    ]
