"""Faces go into the first convolution of an INT8 graph as the bytes they are; for the CPU.

Normalised pixels are x / (255 std) - mean / std. The factor moves into the convolution's weights.
The summand cannot become a bias, because beyond the picture's edge the network sees zeros and not
-mean / std: it becomes the weight of a fourth channel that is white all over the picture. The
integers that go in are then exact, and no float is spent on a pixel.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from mer_edge.segments import FACE_SIZE_PX

WHITE = 255
"""The largest byte: that it is in every picture makes the input's scale 1."""
NORMALISATION = ("Cast", "Transpose", "Mul", "Add", "Conv")
"""What stands behind ``faces``."""
BYTES, FLOATS = "faces_and_white", "faces_and_white_float"


def with_faces_as_bytes(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A graph that gives what ``proto`` gives, its first convolution on four channels of bytes.

    ``proto`` itself where it takes no faces. It stays as it is.
    """
    nodes = _normalisation(proto)
    if nodes is None:
        return proto
    result = onnx.ModelProto()
    result.CopyFrom(proto)
    graph = result.graph
    _, _, factor, summand, convolution = nodes
    tensors = {i.name: i for i in graph.initializer}
    scale, shift = (_constant(node, tensors) for node in (factor, summand))
    weights = tensors[convolution.input[1]]
    weights.CopyFrom(numpy_helper.from_array(_widened(weights, scale, shift), convolution.input[1]))
    size = FACE_SIZE_PX
    white = np.full((1, size, size, 1), WHITE, np.uint8)
    for name, values in (("white", white), ("white_sizes", np.array([size, size, 1]))):
        graph.initializer.append(numpy_helper.from_array(values, name))
    gone = {node.name for node in nodes[:-1]}
    kept = [_copy(node) for node in graph.node if node.name not in gone]
    for node in kept:
        if node.name == convolution.name:
            node.input[0] = FLOATS
    del graph.node[:], graph.value_info[:]
    graph.node.extend([*_white_added(), *kept])
    for node in (factor, summand):
        graph.initializer.remove(next(tensors[name] for name in node.input if name in tensors))
    return result


def bytes_that_stay(proto: onnx.ModelProto) -> None:
    """Bytes that were made floats to be quantised with scale 1 and zero point 0 stay bytes.

    In place, after a graph of ``with_faces_as_bytes`` has been quantised; what it leaves without
    use is for ``tidied``.
    """
    constants = {i.name: i for i in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type != "QuantizeLinear" or node.input[0] != FLOATS:
            continue
        scale, zero_point = (numpy_helper.to_array(constants[name]) for name in node.input[1:3])
        if scale == 1 and zero_point == 0:
            for user in proto.graph.node:
                renamed = [BYTES if name == node.output[0] else name for name in user.input]
                user.input[:] = renamed


def _normalisation(proto: onnx.ModelProto) -> list[onnx.NodeProto] | None:
    """The nodes of ``NORMALISATION`` one behind the other, if these and no others are there."""
    tensor, found = "faces", []
    for operator in NORMALISATION:
        users = [node for node in proto.graph.node if tensor in node.input]
        if len(users) != 1 or users[0].op_type != operator:
            return None
        found.append(users[0])
        tensor = users[0].output[0]
    return found


def _constant(node: onnx.NodeProto, tensors: dict[str, onnx.TensorProto]) -> NDArray[np.float64]:
    (name,) = (name for name in node.input if name in tensors)
    return np.asarray(numpy_helper.to_array(tensors[name]), np.float64).reshape(3, 1, 1)


def _widened(
    weights: onnx.TensorProto, scale: NDArray[np.float64], shift: NDArray[np.float64]
) -> NDArray[np.float32]:
    """(C, 3, h, w) for normalised pixels -> (C, 4, h, w) for bytes and the white channel."""
    of_pixels = numpy_helper.to_array(weights).astype(np.float64)
    white = (of_pixels * shift).sum(axis=1, keepdims=True) / WHITE
    return np.concatenate([of_pixels * scale, white], axis=1).astype(np.float32)


def _white_added() -> list[onnx.NodeProto]:
    """faces (S, H, W, 3) -> (S, 4, H, W), bytes and floats."""
    steps: list[tuple[str, list[str], str, dict[str, object]]] = [
        ("Shape", ["faces"], "faces_count", {"start": 0, "end": 1}),
        ("Concat", ["faces_count", "white_sizes"], "white_shape", {"axis": 0}),
        ("Expand", ["white", "white_shape"], "white_pictures", {}),
        ("Concat", ["faces", "white_pictures"], "four_channels", {"axis": 3}),
        ("Transpose", ["four_channels"], BYTES, {"perm": [0, 3, 1, 2]}),
        ("Cast", [BYTES], FLOATS, {"to": onnx.TensorProto.FLOAT}),
    ]
    return [
        helper.make_node(operator, inputs, [output], name=f"node_{output}", **attributes)
        for operator, inputs, output, attributes in steps
    ]


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    return onnx.NodeProto.FromString(node.SerializeToString())
