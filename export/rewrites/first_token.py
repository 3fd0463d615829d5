"""The text encoder's last layer is computed for the one token that is read of it.

The text graph gives what [CLS] has become. Of the last layer only keys and values need every
token; queries, attention, output projection and feed-forward network of the others are never
looked at. The choice of the token is moved backwards through the graph as far as it goes; every
number that is left is computed as before.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

_ELEMENTWISE = {"Add", "Mul", "Gelu", "Relu", "Tanh", "Erf", "Div", "Sub"}
_ALONG_LAST_AXIS = {"LayerNormalization", "Softmax"}


@dataclass(frozen=True, eq=False)
class _Wish:
    """Input ``index`` of ``node`` is needed in its first entry along ``axis`` only."""

    node: ir.Node
    index: int
    axis: int


def narrow_to_first_token(model: ir.Model) -> int:
    """Move every Gather of entry 0 backwards, in place; the number of nodes with less to do.

    It stops where a value is needed whole as well, so that a graph that also gives all tokens
    stays as it is, and at operators that mix the entries.
    """
    graph = model.graph
    wishes: dict[ir.Value, list[_Wish]] = defaultdict(list)
    narrowed = 0
    for node in reversed(list(graph)):
        output = node.outputs[0]
        wanted = wishes.pop(output, [])
        axis = _gathered_axis(node)
        if axis is not None and node.inputs[0] is not None:
            wishes[node.inputs[0]].append(_Wish(node, 0, axis))
        if not wanted:
            continue
        needs = _needs(node, wanted[0].axis) if _all_agree(output, wanted) else None
        if needs is None:
            _slice_for(graph, output, wanted)
            continue
        _shrink(graph, node, wanted[0].axis)
        narrowed += 1
        for wish in needs:
            value = node.inputs[wish.index]
            assert value is not None
            wishes[value].append(wish)
    for value, wanted in wishes.items():
        _slice_for(graph, value, wanted)
    return narrowed


def _gathered_axis(node: ir.Node) -> int | None:
    """The axis of which a Gather takes the first entry of several."""
    if node.op_type != "Gather":
        return None
    data, index = node.inputs
    if data is None or data.producer() is None or data.shape is None:
        return None
    entry = None if index is None or index.const_value is None else index.const_value.numpy()
    axis = node.attributes.get_int("axis", 0)
    first = entry is not None and entry.shape == () and entry == 0
    return axis if first and data.shape[axis] != 1 else None


def _all_agree(value: ir.Value, wanted: list[_Wish]) -> bool:
    same = len({wish.axis for wish in wanted}) == 1
    return same and len(wanted) == len(value.uses()) and not value.is_graph_output()


def _needs(node: ir.Node, axis: int) -> list[_Wish] | None:
    """What is enough of the node's inputs where the first entry of its output is; None: all."""
    output = node.outputs[0].shape
    if output is None or any(v is not None and v.shape is None for v in node.inputs):
        return None
    last = len(output) - 1
    if node.op_type in _ELEMENTWISE:
        return _broadcast_needs(node, axis - len(output))
    if node.op_type in _ALONG_LAST_AXIS:
        mixes_last_only = node.attributes.get_int("axis", -1) in (-1, last)
        return [_Wish(node, 0, axis)] if mixes_last_only and axis != last else None
    if node.op_type == "MatMul":
        return _matmul_needs(node, axis, last)
    if node.op_type == "Transpose":
        return [_Wish(node, 0, node.attributes.get_ints("perm")[axis])]
    if node.op_type == "Reshape" and _keeps_axes(node, axis):
        return [_Wish(node, 0, axis)]
    return None


def _broadcast_needs(node: ir.Node, from_end: int) -> list[_Wish]:
    """Of what is as long as the output along the axis, the first entry; the rest as it is."""
    needs = []
    for index, value in enumerate(node.inputs):
        shape = None if value is None else value.shape
        if shape is not None and len(shape) >= -from_end and shape[from_end] != 1:
            needs.append(_Wish(node, index, len(shape) + from_end))
    return needs


def _matmul_needs(node: ir.Node, axis: int, last: int) -> list[_Wish] | None:
    """A row of a product is that row of the left factor; whole matrices of a batch are not cut."""
    left = node.inputs[0]
    rows = left is not None and left.shape is not None and len(left.shape) - 1 == last
    if axis == last - 1 and rows:
        return [_Wish(node, 0, axis)]
    return None


def _keeps_axes(node: ir.Node, axis: int) -> bool:
    """Whether a Reshape touches only what lies behind ``axis``, whose sizes are fixed."""
    before, after = node.inputs[0], node.outputs[0]
    assert before is not None
    assert before.shape is not None
    assert after.shape is not None
    same = list(before.shape[: axis + 1]) == list(after.shape[: axis + 1])
    return same and all(isinstance(size, int) for size in after.shape[axis + 1 :])


def _shrink(graph: ir.Graph, node: ir.Node, axis: int) -> None:
    """Note the new size of the node's output, and give a Reshape its new shape."""
    output = node.outputs[0]
    assert output.shape is not None
    sizes = [*output.shape[:axis], 1, *output.shape[axis + 1 :]]
    output.shape = ir.Shape(sizes)
    if node.op_type == "Reshape":
        # 0 copies the size of the input.
        target = [0] * axis + [size for size in sizes[axis:] if isinstance(size, int)]
        node.replace_input_with(1, _constant(graph, f"{output.name}.shape", target))
        node.attributes.pop("allowzero", None)


def _slice_for(graph: ir.Graph, value: ir.Value, wanted: list[_Wish]) -> None:
    """One Slice behind ``value`` per axis for those that need no more; a Gather needs no Slice."""
    wanted = [wish for wish in wanted if wish.node.op_type != "Gather"]
    for axis in sorted({wish.axis for wish in wanted}):
        bounds = [
            _constant(graph, f"{value.name}.{name}_{axis}", [number])
            for name, number in (("start", 0), ("end", 1), ("axis", axis))
        ]
        assert value.shape is not None
        shape = ir.Shape([*value.shape[:axis], 1, *value.shape[axis + 1 :]])
        first = ir.val(f"{value.name}.first_{axis}", value.dtype, shape)
        node = ir.node("Slice", [value, *bounds], outputs=[first])
        producer = value.producer()
        if producer is None:
            graph.insert_before(graph[0], node)
        else:
            graph.insert_after(producer, node)
        for wish in wanted:
            if wish.axis == axis:
                wish.node.replace_input_with(wish.index, first)


def _constant(graph: ir.Graph, name: str, numbers: list[int]) -> ir.Value:
    value = ir.val(name, const_value=ir.tensor(np.array(numbers, np.int64), name=name))
    graph.register_initializer(value)
    return value
