"""No sum of two products of an INT8 graph for the CPU leaves 16 bits, so every kernel is exact."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.gate import require_exact_sums
from export.precision.integer import to_int8
from export.precision.saturation import largest_pair_sum, weight_ranges
from mer_edge.bundle import GraphSpec
from mer_edge.errors import MerEdgeError
from mer_edge.processor import LARGEST_SUM, exact_int8

ENCODERS = ("text", "audio", "visual_stem", "visual")


@pytest.fixture(scope="module")
def for_cpu(exported, calibration):
    return {
        name: to_int8(onnx.load(exported.files[name]), calibration.of(name), "cpu").proto
        for name in ENCODERS
    }


def run(proto, feed, exact):
    options = onnxruntime.SessionOptions()
    if exact:
        exact_int8(options)
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, feed)


@pytest.mark.parametrize("name", ENCODERS)
def test_no_input_makes_a_sum_leave_16_bits(for_cpu, name):
    assert 0.8 * LARGEST_SUM < largest_pair_sum(for_cpu[name]) <= LARGEST_SUM


@pytest.mark.parametrize("name", ENCODERS)
def test_the_usual_kernels_give_what_exact_ones_give(for_cpu, calibration, name):
    for feed in calibration.of(name)[:2]:
        usual, exact = (run(for_cpu[name], feed, exact) for exact in (False, True))
        for a, b in zip(usual, exact, strict=True):
            np.testing.assert_array_equal(a, b)


def product(weights):
    """y = x W, fp32."""
    size, channels = weights.shape
    graph = helper.make_graph(
        [
            helper.make_node("Identity", ["input_ids"], ["x"], name="inside"),
            helper.make_node("MatMul", ["x", "w"], ["y"], name="product"),
        ],
        "product",
        [helper.make_tensor_value_info("input_ids", TensorProto.FLOAT, ["rows", size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", channels])],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def test_the_largest_inputs_on_the_worst_weights_are_exact():
    """Neighbours of one sign and as large as the channel allows, inputs at 255 throughout."""
    rng = np.random.default_rng(3)
    pairs = rng.normal(size=(32, 48)).astype(np.float32)
    weights = np.repeat(pairs, 2, axis=0)
    x = np.full((4, 64), 5.0, np.float32)
    quantized = to_int8(product(weights), [{"input_ids": x}], "cpu").proto
    assert largest_pair_sum(quantized) > 0.9 * LARGEST_SUM
    (usual,) = run(quantized, {"input_ids": x}, exact=False)
    steps = np.abs(weights).max(0) * 2 / 127  # a channel's step, from its largest pair
    assert np.abs(usual - x @ weights).max() <= 64 * 5 * steps.max()
    np.testing.assert_allclose(usual, x @ weights, atol=float(5 * 64 * steps.max() / 2))


def test_a_channel_keeps_as_many_bits_as_its_pairs_allow():
    weights = np.zeros((4, 3), np.float32)
    weights[0, 0], weights[1, 0] = 1.0, -1.0  # opposite signs take away from each other
    weights[0, 1], weights[1, 1] = 1.0, 1.0
    weights[0, 2], weights[2, 2] = 1.0, 1.0  # not neighbours
    found = weight_ranges(product(weights), frozenset())["w"]
    assert [channel["rmax"] for channel in found] == [1.0, 2.0, 1.0]
    assert {channel["axis"] for channel in found} == {1}
    assert weight_ranges(product(weights), frozenset({"product"})) == {}


def test_taps_of_a_convolution_are_added_channel_by_channel():
    kernel = np.zeros((1, 2, 1, 2), np.float32)
    kernel[0, :, 0, 0] = 1.0, 0.5  # the two channels of one tap
    kernel[0, :, 0, 1] = 0.75, -1.0
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "k"], ["y"], name="conv")],
        "conv",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 1, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(kernel, "k")],
    )
    (channel,) = weight_ranges(helper.make_model(graph), frozenset())["k"]
    assert (channel["axis"], channel["rmax"]) == (0, 1.5)


def test_the_gate_refuses_what_could_saturate_elsewhere():
    fine = GraphSpec("audio.onnx", "", "int8", [], [], largest_pair_sum=LARGEST_SUM)
    require_exact_sums({"audio": fine})
    wrong = GraphSpec("audio.onnx", "", "int8", [], [], largest_pair_sum=64_770)
    with pytest.raises(MerEdgeError, match="INT8 audio graph can add up to 64,770"):
        require_exact_sums({"audio": wrong})
