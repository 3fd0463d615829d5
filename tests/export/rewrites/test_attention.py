from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper, parser
from onnx_ir.passes.common import RemoveUnusedNodesPass

from export.rewrites import apply_cpu_int8_rewrites, apply_rewrites
from export.rewrites.attention import fuse_attention
from tests.export.rewrites.traced_parts import operators, run, traced_text

TWO_HEADS = """
<ir_version: 10, opset_import: ["" : 20]>
a (float[b, s, 8] q, float[b, s, 8] k, float[b, s, 8] v, float[b, 1, 1, s] mask)
  => (float[b, t, d] y)
<int64[4] qs = {{0, 0, {heads}, {size}}}, int64[4] s = {{0, 0, 2, 4}}, float scale = {{0.3}},
 int64[3] joined = {{0, 0, 8}}>
{{
  qh = Reshape (q, qs)
  qt = Transpose<perm = [0, 2, 1, 3]> (qh)
  kh = Reshape (k, s)
  kt = Transpose<perm = [0, 2, 3, 1]> (kh)
  vh = Reshape (v, s)
  vt = Transpose<perm = [0, 2, 1, 3]> (vh)
  products = MatMul (qt, kt)
  scores = Mul (products, scale)
  masked = Add (scores, mask)
  weights = Softmax<axis = {axis}> (masked)
  mixed = MatMul (weights, vt)
  back = Transpose<perm = [0, 2, 1, 3]> (mixed)
  y = Reshape (back, joined)
}}
"""


def rewritten(proto: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    model = ir.from_proto(onnx.shape_inference.infer_shapes(proto))
    count = fuse_attention(model)
    RemoveUnusedNodesPass()(model)
    return ir.to_proto(model), count


def by_hand(heads: int = 2, size: int = 4, axis: int = -1) -> onnx.ModelProto:
    return parser.parse_model(TWO_HEADS.format(heads=heads, size=size, axis=axis))


@pytest.mark.parametrize("narrowed", [False, True])
@pytest.mark.parametrize("with_tokens", [False, True])
def test_every_layer_of_a_traced_encoder_gives_what_it_gave(with_tokens, narrowed):
    before = traced_text(with_tokens)
    if narrowed:
        before, _ = apply_rewrites("text", before)
    after, names = apply_cpu_int8_rewrites("text", before)
    assert names == ["attention"]
    found = operators(after)
    assert found.count("Attention") == 2
    assert "Softmax" not in found
    assert found.count("Transpose") == 0
    assert [(o.domain, o.version) for o in after.opset_import] == [("", 23)]
    onnx.checker.check_model(after, full_check=True)
    rng = np.random.default_rng(0)
    for clips, tokens in ((1, 1), (1, 7), (3, 20)):
        mask = (np.arange(tokens) <= rng.integers(0, tokens, (clips, 1))).astype(np.int64)
        feed = {"input_ids": rng.integers(1, 60, (clips, tokens)), "attention_mask": mask}
        for left, right in zip(run(after, feed), run(before, feed), strict=True):
            np.testing.assert_allclose(left, right, atol=2e-6)


def test_heads_and_scale_are_those_of_the_graph():
    after, count = rewritten(by_hand())
    assert count == 1
    (node,) = (n for n in after.graph.node if n.op_type == "Attention")
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    assert attributes == {
        "q_num_heads": 2,
        "kv_num_heads": 2,
        "scale": pytest.approx(0.3),
    }
    rng = np.random.default_rng(1)
    feed = {name: rng.normal(size=(2, 5, 8)).astype(np.float32) for name in "qkv"}
    feed["mask"] = np.where(rng.random((2, 1, 1, 5)) < 0.5, 0, -3).astype(np.float32)
    np.testing.assert_allclose(run(after, feed)[0], run(by_hand(), feed)[0], atol=1e-6)


def test_what_is_no_attention_stays():
    for case in ({"axis": 2}, {"heads": 1, "size": 8}):
        before = by_hand(**case)
        after, count = rewritten(before)
        assert count == 0
        assert operators(after) == operators(before)
        assert after.opset_import == before.opset_import


def test_weights_are_not_touched():
    before = traced_text(False)
    after, _ = apply_cpu_int8_rewrites("text", before)
    kept = {i.name: numpy_helper.to_array(i) for i in before.graph.initializer}
    matrices = [i for i in after.graph.initializer if len(i.dims) == 2]
    assert len(matrices) > 2 * 6
    for matrix in matrices:
        np.testing.assert_array_equal(numpy_helper.to_array(matrix), kept[matrix.name])
