"""Arithmetic and bytes of an ONNX graph, counted operator by operator.

A multiplication and an addition are two operations, integer ones too. Bytes are what a graph must
move once if nothing is moved twice: its weights, its inputs and its outputs; what lies between its
operators may stay in the caches and is counted apart, as the most that it may move.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

INTEGER = {
    "MatMulInteger", "ConvInteger", "QLinearConv", "QLinearMatMul", "DynamicQuantizeMatMul",
}  # fmt: skip
FREE = {
    "Reshape", "Transpose", "Unsqueeze", "Squeeze", "Shape", "Gather", "Concat", "Slice", "Expand",
    "Constant", "Identity", "Flatten", "Cast", "Split", "Where", "Pad", "ConstantOfShape", "Range",
}  # fmt: skip
"""Moves bytes and computes nothing."""
PER_VALUE = {"Softmax": 5, "LayerNormalization": 8, "Gelu": 8, "Erf": 4, "Sqrt": 1, "Exp": 1,
             "BatchNormalization": 2, "QuantizeLinear": 3, "DequantizeLinear": 2,
             "DynamicQuantizeLinear": 5}  # fmt: skip
"""Operations per value of the output, by convention; everything else that computes is one."""


@dataclass
class Work:
    """Of one run of a graph."""

    float_operations: int = 0
    integer_operations: int = 0
    """Of products whose factors have eight bits."""
    weight_bytes: int = 0
    """Read by the operators that run; of a table only the rows that are looked up."""
    input_output_bytes: int = 0
    between_bytes: int = 0
    """Written and read again between operators, if no two were fused."""
    per_operator: dict[str, int] = field(default_factory=dict)
    """Operations by kind of operator."""

    @property
    def operations(self) -> int:
        return self.float_operations + self.integer_operations

    @property
    def least_bytes(self) -> int:
        """What has to come from memory and go back to it."""
        return self.weight_bytes + self.input_output_bytes

    @property
    def intensity(self) -> float:
        """Operations per byte."""
        return self.operations / self.least_bytes


def count_work(file: Path, feed: Mapping[str, NDArray[Any]]) -> Work:
    """Count one run on ``feed``, the graph's inputs by name."""
    model = onnx.load(file)
    return Counter(model.graph, shapes_in_a_run(model, feed)).count()


def shapes_in_a_run(
    model: onnx.ModelProto, feed: Mapping[str, NDArray[Any]]
) -> dict[str, tuple[tuple[int, ...], int]]:
    """Per tensor its shape and the bytes of a value, as they are when the graph runs on ``feed``.

    Inference alone does not get beyond a Reshape whose target is computed from other shapes.
    """
    every = onnx.ModelProto()
    every.CopyFrom(model)
    given = {value.name for value in every.graph.output}
    names = [name for node in every.graph.node for name in node.output if name]
    every.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in given)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        every.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    outputs = [value.name for value in session.get_outputs()]
    arrays = {**dict(zip(outputs, session.run(outputs, dict(feed)), strict=True)), **feed}
    return {name: (array.shape, array.itemsize) for name, array in arrays.items()}


class Counter:
    """Goes through the operators of a graph of which the shapes are known."""

    def __init__(
        self, graph: onnx.GraphProto, shapes: Mapping[str, tuple[tuple[int, ...], int]]
    ) -> None:
        self._graph = graph
        self._constants = {value.name: value for value in graph.initializer}
        self._shapes = shapes
        self._made_by = {name: node for node in graph.node for name in node.output}
        self.work = Work()
        self._read: set[str] = set()
        self._loaded: set[str] = set()

    def count(self) -> Work:
        outside = {value.name for value in (*self._graph.input, *self._graph.output)}
        for node in self._graph.node:
            self._weights(node)
            if self._is_constant(node):
                # An engine computes that once, when it loads the graph.
                self._loaded.update(node.output)
                continue
            operations = self._operations(node)
            if self._is_integer(node):
                self.work.integer_operations += operations
            else:
                self.work.float_operations += operations
            if operations:
                kinds = self.work.per_operator
                kinds[node.op_type] = kinds.get(node.op_type, 0) + operations
            inner = [name for name in node.output if name and name not in outside]
            self.work.between_bytes += 2 * sum(self._bytes(name) for name in inner)
        self.work.input_output_bytes = sum(self._bytes(name) for name in sorted(outside))
        return self.work

    def _is_constant(self, node: onnx.NodeProto) -> bool:
        """Whether it computes the same in every run."""
        known = [name in self._constants or name in self._loaded for name in node.input if name]
        return bool(known) and all(known)

    def _weights(self, node: onnx.NodeProto) -> None:
        """Each constant counts once, a table only with the rows that are taken."""
        for place, name in enumerate(node.input):
            if name not in self._constants or name in self._read:
                continue
            if node.op_type == "Gather" and place == 0:
                self.work.weight_bytes += self._bytes(node.output[0])
                continue
            self._read.add(name)
            self.work.weight_bytes += self._bytes(name)

    def _operations(self, node: onnx.NodeProto) -> int:
        kind = node.op_type
        if kind in FREE:
            return 0
        shape = self._shape(node.output[0])
        if kind in ("Conv", "ConvInteger", "QLinearConv"):
            weights = self._shape(node.input[3 if kind == "QLinearConv" else 1])
            return 2 * prod(shape) * prod(weights[1:])
        if kind in ("MatMul", "MatMulInteger", "Gemm", "QLinearMatMul"):
            return self._product(node, shape)
        if kind in ("MaxPool", "AveragePool"):
            window = next(a.ints for a in node.attribute if a.name == "kernel_shape")
            return prod(shape) * prod(window)
        if kind.startswith("Reduce") or kind == "GlobalAveragePool":
            return prod(self._shape(node.input[0]))
        return prod(shape) * PER_VALUE.get(kind, 1)

    def _product(self, node: onnx.NodeProto, shape: tuple[int, ...]) -> int:
        left = self._shape(node.input[0])
        transposed = any(a.name == "transA" and a.i for a in node.attribute)
        return 2 * prod(shape) * (left[-2] if transposed else left[-1])

    def _is_integer(self, node: onnx.NodeProto) -> bool:
        """Whether its factors have eight bits: by its kind, or because both are dequantized."""
        if node.op_type in INTEGER:
            return True
        if node.op_type not in ("Conv", "MatMul", "Gemm"):
            return False
        makers = [self._made_by.get(name) for name in node.input[:2]]
        return all(m is not None and m.op_type == "DequantizeLinear" for m in makers)

    def _shape(self, name: str) -> tuple[int, ...]:
        if name in self._constants:
            return tuple(self._constants[name].dims)
        return self._shapes[name][0]

    def _bytes(self, name: str) -> int:
        if name in self._constants:
            return int(numpy_helper.to_array(self._constants[name]).nbytes)
        shape, size = self._shapes[name]
        return prod(shape) * size
