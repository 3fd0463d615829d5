"""Faces as bytes into the first convolution: the same network, no float spent on a pixel."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from export.precision.integer import to_int8
from export.precision.pixels import BYTES, with_faces_as_bytes

GRAPH = "visual_stem"


@pytest.fixture(scope="module")
def original(exported):
    return onnx.load(exported.files[GRAPH])


@pytest.fixture(scope="module")
def faces():
    rng = np.random.default_rng(3)
    pictures = rng.integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)
    pictures[1], pictures[2] = 0, 255
    return {"faces": pictures}


def run(proto, feed):
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, feed)[0]


def test_it_computes_the_same_up_to_the_edge_of_the_picture(original, faces):
    expected, actual = run(original, faces), run(with_faces_as_bytes(original), faces)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(actual, expected, atol=1e-5 * np.abs(expected).max())


def test_the_original_stays_as_it_is(original):
    before = original.SerializeToString()
    changed = with_faces_as_bytes(original)
    assert original.SerializeToString() == before
    weights = {i.name: i.dims for i in changed.graph.initializer}
    convolution = next(node for node in changed.graph.node if node.op_type == "Conv")
    assert weights[convolution.input[1]][1] == 4


@pytest.mark.parametrize("name", ["text", "audio", "fusion"])
def test_other_graphs_are_left_alone(exported, name):
    proto = onnx.load(exported.files[name])
    assert with_faces_as_bytes(proto) is proto


def test_something_else_before_the_convolution_is_left_alone(original):
    proto = onnx.ModelProto()
    proto.CopyFrom(original)
    proto.graph.output.append(helper.make_tensor_value_info("seen", onnx.TensorProto.UINT8, None))
    proto.graph.node.append(helper.make_node("Identity", ["faces"], ["seen"], name="second_user"))
    assert with_faces_as_bytes(proto) is proto


def test_in_eight_bits_no_pixel_becomes_a_float(original, calibration):
    proto = to_int8(original, calibration.of(GRAPH), "cpu").proto
    operators = [node.op_type for node in proto.graph.node]
    assert "Cast" not in operators
    (entry,) = (n for n in proto.graph.node if BYTES in n.input)
    assert entry.op_type == "DequantizeLinear"
    constants = {i.name: numpy_helper.to_array(i) for i in proto.graph.initializer}
    assert (constants[entry.input[1]], constants[entry.input[2]]) == (1, 0)
    # A rectifier behind a convolution is the lower end of its bytes; the others are behind sums.
    before = {output: node.op_type for node in proto.graph.node for output in node.output}
    assert {before[n.input[0]] for n in proto.graph.node if n.op_type == "Relu"} <= {"Add"}


def test_tensorrt_keeps_its_normalisation(original, calibration):
    proto = to_int8(original, calibration.of(GRAPH), "tensorrt").proto
    assert BYTES not in {name for node in proto.graph.node for name in node.input}
