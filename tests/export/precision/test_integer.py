"""INT8 by the recipe of its target, on graphs of a real network and clips it has not seen."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from export.precision.convert import convert
from export.precision.front_end import front_end
from export.precision.integer import to_int8

OUTPUTS = {"text": "text", "audio": "audio", "visual_stem": "visual_map", "visual": "visual"}
ENCODERS = tuple(OUTPUTS)


@pytest.fixture(scope="module")
def made(exported, calibration):
    """Every encoder in every recipe, made when it is first asked for."""
    known = {}

    def make(name, recipe):
        if (name, recipe) not in known:
            proto = onnx.load(exported.files[name])
            known[name, recipe] = to_int8(proto, calibration.of(name), recipe)
        return known[name, recipe]

    return make


def constants(proto):
    return {i.name: numpy_helper.to_array(i) for i in proto.graph.initializer}


@pytest.mark.parametrize("recipe", ["cpu", "tensorrt"])
@pytest.mark.parametrize("name", ENCODERS)
def test_what_comes_out_points_where_it_did(made, exported, calibration, name, recipe):
    sessions = [
        onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        for model in (str(exported.files[name]), made(name, recipe).proto.SerializeToString())
    ]
    for feed in calibration.of(name)[:4]:
        expected, actual = (session.run([OUTPUTS[name]], feed)[0] for session in sessions)
        cosine = (expected * actual).sum() / np.sqrt((expected**2).sum() * (actual**2).sum())
        assert cosine > 0.99
        assert not np.array_equal(expected, actual)


@pytest.mark.parametrize("recipe", ["cpu", "tensorrt"])
@pytest.mark.parametrize("name", ENCODERS)
def test_weights_are_int8_with_a_scale_a_channel(made, graph, name, recipe):
    before, after = graph(name), made(name, recipe).proto
    values = constants(after)
    front = {tensor for n in before.graph.node if n.name in front_end(before) for tensor in n.input}
    whole = [v for key, v in constants(before).items() if v.size >= 400 and key not in front]
    weights = [v for v in values.values() if v.dtype == np.int8 and v.size >= 400]
    assert sum(v.size for v in weights) >= 0.8 * sum(v.size for v in whole)
    scales = [v for key, v in values.items() if "scale" in key and v.size > 1]
    assert len(scales) >= len(weights) // 2
    assert all((s > 0).all() for s in scales)
    assert {o.domain for o in after.opset_import} == {""}


@pytest.mark.parametrize("name", ENCODERS)
def test_tensorrt_is_given_zero_points_of_zero_and_biases_that_are_whole(made, name):
    proto = made(name, "tensorrt").proto
    values = constants(proto)
    seen = 0
    for node in proto.graph.node:
        assert node.op_type not in ("DynamicQuantizeLinear", "MatMulInteger")
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = values[node.input[2]]
            assert zero.dtype == np.int8  # and no int32, which biases would be
            assert not zero.any()
            seen += 1
    assert seen >= 8


def test_the_cpu_is_given_unsigned_activations(made):
    for name in ("audio", "visual_stem", "visual"):
        proto = made(name, "cpu").proto
        values = constants(proto)
        zeros = [values[n.input[2]].dtype for n in proto.graph.node if n.op_type[:4] == "Quan"]
        assert zeros
        assert set(zeros) == {np.dtype(np.uint8)}
    dynamic = [n.op_type for n in made("text", "cpu").proto.graph.node]
    assert dynamic.count("DynamicQuantizeLinear") >= 2
    assert dynamic.count("MatMulInteger") >= 4
    assert "QuantizeLinear" not in dynamic


@pytest.mark.parametrize("name", ENCODERS)
def test_what_is_kept_is_listed_and_in_floating_point(made, graph, calibration, name):
    proto = graph(name)
    chosen = [n for n in proto.graph.node if n.op_type in ("Conv", "Gemm", "MatMul")]
    chosen = [n for n in chosen if n.name not in front_end(proto)]
    # What reads the same as another layer, which is in eight bits, gets it from there.
    read = [n.input[0] for n in proto.graph.node]
    alone = [n for n in chosen if read.count(n.input[0]) == 1]
    target = next(n for n in alone if n.name not in made(name, "cpu").kept)
    kept = to_int8(proto, calibration.of(name)[:2], "tensorrt", frozenset({target.name}))
    assert target.name in kept.kept
    assert target.name not in made(name, "tensorrt").kept
    (node,) = [n for n in kept.proto.graph.node if n.name == target.name]
    sources = {tensor: n.op_type for n in kept.proto.graph.node for tensor in n.output}
    assert "DequantizeLinear" not in {sources.get(tensor) for tensor in node.input}


def test_the_fusion_graph_of_an_int8_bundle_is_not_int8(graph):
    proto = graph("fusion")
    assert convert("fusion", proto, "int8", "cpu").precision == "fp32"
    half = convert("fusion", proto, "int8", "tensorrt")
    assert half.precision == "fp16"
    assert TensorProto.FLOAT16 in {i.data_type for i in half.proto.graph.initializer}
