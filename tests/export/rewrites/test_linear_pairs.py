from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import parser
from onnx_ir.passes.common import RemoveUnusedNodesPass

from export.rewrites.linear_pairs import fold_linear_pairs
from tests.export.rewrites.traced_parts import CHANNELS, TEXT_SIZE, operators, run, traced_sem

PAIR = """
<ir_version: 10, opset_import: ["" : 20]>
pair (float[n, 3] x) => (float[n, 2] y{outputs})
<float[5, 3] one = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
 float[5] b = {{1, 2, 3, 4, 5}}, float[5, 2] two = {{1, 0, 2, 0, 3, 0, 4, 1, 5, 1}}>
{{
  h = Gemm<transB = 1{attributes}> (x, one, b)
  y = MatMul (h, two)
  {more}
}}
"""


def folded(proto: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    model = ir.from_proto(proto)
    count = fold_linear_pairs(model)
    RemoveUnusedNodesPass()(model)
    return ir.to_proto(model), count


def pair(outputs: str = "", attributes: str = "", more: str = "") -> onnx.ModelProto:
    return parser.parse_model(PAIR.format(outputs=outputs, attributes=attributes, more=more))


@pytest.mark.parametrize(
    ("form", "pairs", "linear"),
    [
        # Of the direction and of the value; then the scores of every position.
        ("spatial", 2, {"Gemm": 2, "MatMul": 1}),
        ("key", 1, {"Gemm": 1, "MatMul": 0}),
        # Queries, keys and values are left, and the two products of attention.
        ("tokens", 1, {"Gemm": 0, "MatMul": 5}),
    ],
)
def test_sems_become_fewer_layers_and_give_the_same(form, pairs, linear):
    before = traced_sem(form)
    after, count = folded(before)
    assert count == pairs
    assert {name: operators(after).count(name) for name in linear} == linear
    onnx.checker.check_model(after, full_check=True)
    rng = np.random.default_rng(0)
    for segments, tokens in ((1, 1), (3, 4)):
        shape = (segments, tokens, TEXT_SIZE) if form == "tokens" else (segments, TEXT_SIZE)
        feed = {
            "map": rng.normal(size=(segments, CHANNELS, 3, 4)).astype(np.float32),
            "text": rng.normal(size=shape).astype(np.float32),
        }
        if form == "tokens":
            feed["token_mask"] = np.arange(tokens) < np.arange(1, segments + 1)[:, None]
        expected, found = run(before, feed)[0], run(after, feed)[0]
        assert np.abs(expected).max() > 0.5
        np.testing.assert_allclose(found, expected, atol=5e-6)


def test_with_the_form_key_nothing_of_queries_and_keys_is_in_the_graph():
    after, _ = folded(traced_sem("key"))
    weights = {tuple(w.dims) for w in after.graph.initializer}
    assert not any("conv_q" in w.name or "conv_k" in w.name for w in after.graph.initializer)
    assert (TEXT_SIZE, CHANNELS) in weights
    assert (CHANNELS, CHANNELS) not in weights


def test_the_product_of_the_weights_is_exact():
    after, count = folded(pair())
    assert count == 1
    assert operators(after) == ["Gemm"]
    assert [o.name for o in after.graph.output] == ["y"]
    x = np.array([[1, -1, 2], [0, 3, 1]], np.float32)
    one = np.arange(1, 16, dtype=np.float32).reshape(5, 3)
    two = np.array([[1, 0], [2, 0], [3, 0], [4, 1], [5, 1]], np.float32)
    expected = (x @ one.T + np.arange(1, 6)) @ two
    np.testing.assert_array_equal(run(after, {"x": x})[0], expected)


@pytest.mark.parametrize(
    "kept",
    [
        # What lies between the two is an output itself, or read by another node.
        pair(outputs=", float[n, 5] h"),
        pair(outputs=", float[n, 5] z", more="z = Relu(h)"),
        # Not the plain x W + b.
        pair(attributes=", alpha = 2.0"),
        # From 3 to 2 and back to 3: one layer of 3 x 3 would be dearer than 3 x 1 x 3.
        parser.parse_model(
            """<ir_version: 10, opset_import: ["" : 20]>
            narrow (float[n, 3] x) => (float[n, 3] y)
            <float[3, 1] one = {1, 2, 3}, float[1, 3] two = {1, 2, 3}>
            { h = MatMul (x, one)  y = MatMul (h, two) }"""
        ),
        # The second factor comes from outside.
        parser.parse_model(
            """<ir_version: 10, opset_import: ["" : 20]>
            given (float[n, 3] x, float[3, 3] two) => (float[n, 3] y)
            <float[3, 3] one = {1, 2, 3, 4, 5, 6, 7, 8, 9}>
            { h = MatMul (x, one)  y = MatMul (h, two) }"""
        ),
    ],
    ids=["output", "read-elsewhere", "alpha", "bottleneck", "not-constant"],
)
def test_what_is_left_as_it_is(kept):
    after, count = folded(kept)
    assert count == 0
    assert operators(after) == operators(kept)
