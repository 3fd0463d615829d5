from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
from onnx import parser

from export.rewrites.first_token import narrow_to_first_token
from tests.export.rewrites.traced_parts import operators, run, traced_text


def narrowed(proto: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    model = ir.from_proto(proto)
    count = narrow_to_first_token(model)
    return ir.to_proto(model), count


def shapes(proto: onnx.ModelProto) -> dict[str, list[str | int]]:
    return {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in proto.graph.value_info
    }


def test_the_last_layer_reads_all_tokens_as_keys_and_values_only():
    before = traced_text(False)
    after, count = narrowed(before)
    assert count > 10
    onnx.checker.check_model(after, full_check=True)
    softmax = [node for node in after.graph.node if node.op_type == "Softmax"]
    assert [shapes(after)[node.output[0]] for node in softmax] == [
        ["batch", 4, "tokens", "tokens"],
        ["batch", 4, 1, "tokens"],
    ]
    gelu = [node for node in after.graph.node if node.op_type == "Gelu"]
    assert [shapes(after)[node.output[0]] for node in gelu] == [
        ["batch", "tokens", 24],
        ["batch", 1, 24],
    ]
    assert operators(after).count("Slice") == operators(before).count("Slice") + 1


def test_the_vector_is_the_same_for_every_length_and_mask():
    before = traced_text(False)
    after, _ = narrowed(before)
    rng = np.random.default_rng(1)
    for batch, tokens in ((1, 1), (1, 2), (3, 9), (2, 32)):
        mask = np.arange(tokens) < np.maximum(1, tokens - 2 * np.arange(batch))[:, None]
        feed = {
            "input_ids": rng.integers(0, 64, (batch, tokens)),
            "attention_mask": mask.astype(np.int64),
        }
        expected, found = run(before, feed)[0], run(after, feed)[0]
        assert expected.shape == found.shape == (batch, 16)
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(found, expected, atol=2e-6)


def test_a_graph_that_gives_all_tokens_stays_as_it_is():
    before = traced_text(True)
    after, count = narrowed(before)
    assert count == 0
    assert operators(after) == operators(before)


def test_it_stops_at_what_mixes_the_tokens():
    proto = parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 20]>
        mixing (float[n, t, 4] x) => (float[n, 4] y)
        <int64 zero = {0}, float[4, 4] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
         float[4] b = {1, 2, 3, 4},
         float[n, t, 4] s, float[n, t, 4] a, float[n, t, 4] m>
        { s = Softmax <axis = 1> (x)  a = MatMul (s, w)  m = Add (a, b)
          y = Gather <axis = 1> (m, zero) }"""
    )
    after, count = narrowed(proto)
    assert count == 2
    assert operators(after) == ["Softmax", "Slice", "MatMul", "Add", "Gather"]
    onnx.checker.check_model(after, full_check=True)
    x = np.random.default_rng(2).normal(size=(2, 3, 4)).astype(np.float32)
    np.testing.assert_allclose(run(after, {"x": x})[0], run(proto, {"x": x})[0], rtol=1e-6)


def test_an_input_of_the_graph_is_cut_too_and_another_entry_is_left_alone():
    text = """<ir_version: 10, opset_import: ["" : 20]>
        plain (float[n, t, 2] x) => (float[n, 2] y)
        <int64 entry = {%d}, float[n, t, 2] r>
        { r = Relu (x)  y = Gather <axis = 1> (r, entry) }"""
    first = parser.parse_model(text % 0)
    after, count = narrowed(first)
    assert count == 1
    assert operators(after) == ["Slice", "Relu", "Gather"]
    x = np.arange(-4, 8, dtype=np.float32).reshape(2, 3, 2)
    np.testing.assert_array_equal(run(after, {"x": x})[0], [[0, 0], [2, 3]])
    second, count = narrowed(parser.parse_model(text % 1))
    assert count == 0
    np.testing.assert_array_equal(run(second, {"x": x})[0], [[0, 0], [4, 5]])
