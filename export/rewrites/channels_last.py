"""Between a map and its positions the channels stay last.

A SEM looks at a map (S, C, H, W) as positions (S, H * W, C): flattened, then transposed. Transposed
first and then flattened it is the same, and the transpose is then one that engines know: those that
keep maps with the channels last do nothing at all, and two that meet cancel.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

_SWAPPED = [0, 2, 1]
_TO_LAST, _TO_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]


def keep_channels_last(model: ir.Model) -> int:
    """Exchange in place every Transpose and the Reshape of places beside it; their number."""
    changed = 0
    for node in list(model.graph):
        if node.op_type == "Transpose" and _flattened(node):
            _exchange_flattening(model.graph, node)
        elif node.op_type == "Reshape" and _spread(node):
            _exchange_spreading(model.graph, node)
        else:
            continue
        changed += 1
    return changed


def _flattened(transpose: ir.Node) -> bool:
    """(S, C, H, W) -> Reshape (S, C, H * W) -> this Transpose (S, H * W, C)."""
    reshape = transpose.inputs[0].producer() if transpose.inputs[0] is not None else None
    if reshape is None or reshape.op_type != "Reshape" or not _swaps(transpose):
        return False
    before, between = _sizes(reshape.inputs[0]), _sizes(transpose.inputs[0])
    return len(before) == 3 and len(between) == 2 and before[0] == between[0]


def _spread(reshape: ir.Node) -> bool:
    """(S, H * W, C) -> Transpose (S, C, H * W) -> this Reshape (S, C, H, W)."""
    transpose = reshape.inputs[0].producer() if reshape.inputs[0] is not None else None
    if transpose is None or transpose.op_type != "Transpose" or not _swaps(transpose):
        return False
    between, after = _sizes(reshape.inputs[0]), _sizes(reshape.outputs[0])
    return len(between) == 2 and len(after) == 3 and between[0] == after[0]


def _swaps(transpose: ir.Node) -> bool:
    return list(transpose.attributes.get_ints("perm", [])) == _SWAPPED


def _sizes(value: ir.Value | None) -> list[int]:
    """All but the first; empty where one is not known."""
    if value is None or value.shape is None:
        return []
    sizes = [size for size in list(value.shape)[1:] if isinstance(size, int)]
    return sizes if len(sizes) == len(value.shape) - 1 else []


def _exchange_flattening(graph: ir.Graph, transpose: ir.Node) -> None:
    assert transpose.inputs[0] is not None
    reshape = transpose.inputs[0].producer()
    assert reshape is not None
    channels, height, width = _sizes(reshape.inputs[0])
    moved = ir.node("Transpose", [reshape.inputs[0]], {"perm": _TO_LAST})
    shape = _shape(graph, transpose, [height * width, channels])
    _replace(graph, transpose, [moved, ir.node("Reshape", [moved.outputs[0], shape])])


def _exchange_spreading(graph: ir.Graph, reshape: ir.Node) -> None:
    assert reshape.inputs[0] is not None
    transpose = reshape.inputs[0].producer()
    assert transpose is not None
    channels, height, width = _sizes(reshape.outputs[0])
    shape = _shape(graph, reshape, [height, width, channels])
    spread = ir.node("Reshape", [transpose.inputs[0], shape])
    _replace(
        graph, reshape, [spread, ir.node("Transpose", [spread.outputs[0]], {"perm": _TO_FIRST})]
    )


def _shape(graph: ir.Graph, node: ir.Node, sizes: list[int]) -> ir.Value:
    """The segments, however many, and ``sizes``."""
    name = f"{node.outputs[0].name}.shape"
    value = ir.val(name, const_value=ir.tensor(np.array([-1, *sizes], np.int64), name=name))
    graph.register_initializer(value)
    return value


def _replace(graph: ir.Graph, old: ir.Node, new: list[ir.Node]) -> None:
    ir.convenience.replace_nodes_and_values(
        graph, old, [old], new, [old.outputs[0]], [new[-1].outputs[0]]
    )
