"""A layer that eight bits ruin is found, kept in floating point and listed."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.precision.integer import to_int8
from export.precision.keep import LEAST_COSINE, mean_cosine, to_sound_int8, worst_layers


@pytest.fixture
def ruined():
    """Three convolutions; the second one's input has a channel 2,000 times as large as the others,
    which its weights all but ignore."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(0, 0.3, (8, c, 3, 3)).astype(np.float32) for c in (3, 8, 8)]
    weights[0][5] *= 2_000
    weights[1][:, 5] /= 200_000
    shape = ["segments", 3, 12, 12]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["faces_in", "w0"], ["a"], name="first", pads=[1] * 4),
            helper.make_node("Conv", ["a", "w1"], ["b"], name="ruined", pads=[1] * 4),
            helper.make_node("Relu", ["b"], ["c"], name="relu"),
            helper.make_node("Conv", ["c", "w2"], ["y"], name="last", pads=[1] * 4),
        ],
        "visual",
        [helper.make_tensor_value_info("faces_in", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["segments", 8, 12, 12])],
        [numpy_helper.from_array(w, f"w{i}") for i, w in enumerate(weights)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    feeds = [{"faces_in": rng.normal(size=(2, 3, 12, 12)).astype(np.float32)} for _ in range(16)]
    return onnx.shape_inference.infer_shapes(model), feeds


@pytest.mark.parametrize("recipe", ["cpu", "tensorrt"])
def test_the_layer_that_ruins_it_is_kept_and_no_other(ruined, recipe):
    model, feeds = ruined
    plain = to_int8(model, feeds, recipe)
    assert mean_cosine(model, plain.proto, feeds) < LEAST_COSINE
    assert worst_layers(model, plain, feeds)[0] == "ruined"
    made = to_sound_int8(model, feeds, recipe)
    assert mean_cosine(model, made.proto, feeds) >= LEAST_COSINE
    assert "ruined" in made.kept
    assert len(made.kept) <= 2
    assert any(i.data_type == TensorProto.INT8 and i.dims for i in made.proto.graph.initializer)


def test_a_sound_graph_keeps_nothing_back(exported, graph, calibration):
    proto, feeds = graph("visual"), calibration.of("visual")
    assert to_sound_int8(proto, feeds, "cpu").kept == to_int8(proto, feeds, "cpu").kept
