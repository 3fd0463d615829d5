"""Large channels taken out of a product: the same result, smaller values left for eight bits."""

import numpy as np
import onnx
import onnxruntime
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from export.precision.outliers import KEPT_SUFFIX, constant_products, outliers, split_outliers


def product(rng, channels=64, outputs=(8, 5)):
    """x (?, channels) -> one product per output size, all of the same x."""
    weights = [rng.normal(size=(channels, n)).astype(np.float32) for n in outputs]
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", f"w{i}"], [f"y{i}"], name=f"p{i}")
            for i in range(len(weights))
        ],
        "products",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", channels])],
        [
            helper.make_tensor_value_info(f"y{i}", TensorProto.FLOAT, ["rows", n])
            for i, n in enumerate(outputs)
        ],
        [numpy_helper.from_array(w, f"w{i}") for i, w in enumerate(weights)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def run(model, x):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})


@given(st.integers(0, 1000), st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_the_parts_add_up_to_the_product(seed, loud):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(7, 64)).astype(np.float32)
    x[:, rng.choice(64, loud, replace=False)] *= 40
    model = product(rng)
    split = split_outliers(model, {"x": np.abs(x).max(0)})
    onnx.checker.check_model(split, full_check=True)
    for expected, actual in zip(run(model, x), run(split, x), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-3)
    kept = [node for node in split.graph.node if node.name.endswith(KEPT_SUFFIX)]
    assert len(kept) == 2
    assert sum(node.op_type == "Gather" for node in split.graph.node) == 1  # one for both
    weights = {i.name: numpy_helper.to_array(i) for i in split.graph.initializer}
    assert weights[f"w0{KEPT_SUFFIX}"].shape == (1, 8)  # 3 % of 64 channels, at least one
    assert (weights["w0"] == 0).all(1).sum() == 1


def test_only_what_is_far_larger_than_the_rest_is_taken_out():
    even = np.linspace(1, 2, 100, dtype=np.float32)
    assert len(outliers(even)) == 0
    assert len(outliers(np.zeros(10, np.float32))) == 0
    peaks = np.ones(1000, np.float32)
    peaks[[3, 500, 999]] = [2.5, 30, 1.9]
    assert outliers(peaks).tolist() == [3, 500]
    many = np.ones(1000, np.float32)
    many[:200] = 30
    assert len(outliers(many)) == 30  # 3 %


def test_a_graph_without_outliers_stays_as_it_is():
    model = product(np.random.default_rng(0))
    assert split_outliers(model, {"x": np.ones(64, np.float32)}) == model


def test_a_weight_that_two_products_share_is_left_alone():
    model = product(np.random.default_rng(0), outputs=(8, 8))
    model.graph.node[1].input[1] = "w0"
    assert constant_products(model) == []


def test_the_text_graph_has_products_with_weights_and_attention_has_none(graph):
    proto = graph("text")
    products = constant_products(proto)
    names = {i.name for i in proto.graph.initializer}
    assert len(products) >= 4
    assert all(node.input[1] in names for node in products)
    assert len(products) < sum(node.op_type == "MatMul" for node in proto.graph.node)
