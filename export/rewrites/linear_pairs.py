"""Two linear layers in a row become one.

W2 (W1 x + b1) + b2 = (W2 W1) x + (W2 b1 + b2). The SEMs are where this occurs: what they make of
the text, ``conv_q``'s matrix after ``conv_k`` and ``conv_o`` after ``conv_v``, are four layers that
become two. The products are formed in float64 and rounded once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class _Linear:
    """``output`` = ``data`` @ W + b, by one node (Gemm, MatMul) or two (MatMul, Add)."""

    nodes: tuple[ir.Node, ...]
    data: ir.Value
    weight: ir.Value
    transposed: bool
    """Whether ``weight`` is (outputs, inputs)."""
    bias: ir.Value | None

    @property
    def output(self) -> ir.Value:
        return self.nodes[-1].outputs[0]

    @property
    def sizes(self) -> tuple[int, int]:
        """(inputs, outputs)"""
        one, two = _shape(self.weight)
        return (two, one) if self.transposed else (one, two)

    def matrix(self) -> NDArray[np.float64]:
        """(inputs, outputs)"""
        array = _array(self.weight)
        return array.T if self.transposed else array

    def offset(self) -> NDArray[np.float64]:
        """(outputs,)"""
        return np.zeros(self.sizes[1]) if self.bias is None else _array(self.bias)


def fold_linear_pairs(model: ir.Model) -> int:
    """Fold in place wherever one layer has no more weights than the two; the number of pairs.

    A pair is left as it is where something else, too, reads what lies between the two. The
    weights that are not used any more are left to the caller.
    """
    folded = 0
    for node in list(model.graph):
        second = _layer_ending_at(node)
        if second is None or _bias_follows(second):
            continue
        producer = second.data.producer()
        first = None if producer is None else _layer_ending_at(producer)
        if first is not None and _only_use(first.output) and _saves(first, second):
            _replace(model.graph, first, second)
            folded += 1
    return folded


def _saves(first: _Linear, second: _Linear) -> bool:
    (inputs, middle), (_, outputs) = first.sizes, second.sizes
    return inputs * outputs <= middle * (inputs + outputs)


def _layer_ending_at(node: ir.Node) -> _Linear | None:
    if node.op_type == "Gemm":
        return _of_gemm(node)
    if node.op_type == "MatMul":
        return _of_matmul(node)
    return _of_addition(node) if node.op_type == "Add" else None


def _of_gemm(node: ir.Node) -> _Linear | None:
    data, weight, *rest = node.inputs
    bias = rest[0] if rest else None
    plain = (
        node.attributes.get_float("alpha", 1.0) == 1.0
        and node.attributes.get_float("beta", 1.0) == 1.0
        and node.attributes.get_int("transA", 0) == 0
    )
    if not plain or data is None or weight is None or not _is_weight(weight, 2):
        return None
    transposed = bool(node.attributes.get_int("transB", 0))
    layer = _Linear((node,), data, weight, transposed, bias)
    return layer if bias is None or _is_bias(bias, layer) else None


def _of_matmul(node: ir.Node) -> _Linear | None:
    data, weight = node.inputs
    if data is None or weight is None or not _is_weight(weight, 2):
        return None
    return _Linear((node,), data, weight, False, None)


def _of_addition(node: ir.Node) -> _Linear | None:
    product, bias = node.inputs
    producer = None if product is None else product.producer()
    if producer is None or producer.op_type != "MatMul" or not _only_use(producer.outputs[0]):
        return None
    layer = _of_matmul(producer)
    if layer is None or bias is None or not _is_bias(bias, layer):
        return None
    return _Linear((producer, node), layer.data, layer.weight, False, bias)


def _bias_follows(layer: _Linear) -> bool:
    """Whether the node is but the product of a layer that ends with the next node."""
    readers = [use.node for use in layer.output.uses()]
    return any(n.op_type == "Add" and _of_addition(n) is not None for n in readers)


def _only_use(value: ir.Value) -> bool:
    return len(value.uses()) == 1 and not value.is_graph_output()


def _is_weight(value: ir.Value, rank: int) -> bool:
    fixed = value.const_value is not None and not value.is_graph_input()
    return fixed and value.dtype is ir.DataType.FLOAT and len(_shape(value)) == rank


def _is_bias(value: ir.Value, layer: _Linear) -> bool:
    return _is_weight(value, 1) and _shape(value) == (layer.sizes[1],)


def _shape(value: ir.Value) -> tuple[int, ...]:
    assert value.const_value is not None
    return tuple(value.const_value.shape.numpy())


def _array(value: ir.Value) -> NDArray[np.float64]:
    assert value.const_value is not None
    return np.asarray(value.const_value.numpy(), np.float64)


def _replace(graph: ir.Graph, first: _Linear, second: _Linear) -> None:
    name = second.output.name
    matrix = first.matrix() @ second.matrix()
    offset = first.offset() @ second.matrix() + second.offset()
    weight = _initializer(graph, f"{name}.folded_weight", matrix)
    bias = _initializer(graph, f"{name}.folded_bias", offset)
    if first.data.shape is not None and len(first.data.shape) == 2:
        nodes = [ir.node("Gemm", [first.data, weight, bias])]
    else:
        product = ir.node("MatMul", [first.data, weight])
        nodes = [product, ir.node("Add", [product.outputs[0], bias])]
    old = [*first.nodes, *second.nodes]
    ir.convenience.replace_nodes_and_values(
        graph, old[-1], old, nodes, [second.output], [nodes[-1].outputs[0]]
    )


def _initializer(graph: ir.Graph, name: str, array: NDArray[np.float64]) -> ir.Value:
    value = ir.val(name, const_value=ir.tensor(array.astype(np.float32), name=name))
    graph.register_initializer(value)
    return value
