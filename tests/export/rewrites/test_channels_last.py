from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import parser
from onnx_ir.passes.common import RemoveUnusedNodesPass

from export.rewrites.channels_last import keep_channels_last
from tests.export.rewrites.traced_parts import CHANNELS, TEXT_SIZE, operators, run, traced_sem

THERE_AND_BACK = """
<ir_version: 10, opset_import: ["" : 20]>
sem (float[n, 6, 2, 4] map) => (float[m, c, h, w] y)
<int64[3] flat = {{{flat}}}, int64[4] spread = {{{spread}}}>
{{
  a = Reshape (map, flat)
  b = Transpose<perm = [{perm}]> (a)
  c = Softmax<axis = 2> (b)
  d = Transpose<perm = [0, 2, 1]> (c)
  y = Reshape (d, spread)
}}
"""


def rewritten(proto: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    model = ir.from_proto(onnx.shape_inference.infer_shapes(proto))
    count = keep_channels_last(model)
    RemoveUnusedNodesPass()(model)
    return ir.to_proto(model), count


def there_and_back(
    flat: str = "-1, 6, 8", spread: str = "-1, 6, 4, 2", perm: str = "0, 2, 1"
) -> onnx.ModelProto:
    return parser.parse_model(THERE_AND_BACK.format(flat=flat, spread=spread, perm=perm))


def test_both_ways_are_exchanged_and_nothing_changes():
    before = there_and_back()
    after, count = rewritten(before)
    assert count == 2
    assert operators(after) == ["Transpose", "Reshape", "Softmax", "Reshape", "Transpose"]
    perms = [list(n.attribute[0].ints) for n in after.graph.node if n.op_type == "Transpose"]
    assert perms == [[0, 2, 3, 1], [0, 3, 1, 2]]
    x = np.random.default_rng(0).normal(size=(3, 6, 2, 4)).astype(np.float32)
    np.testing.assert_array_equal(run(after, {"map": x})[0], run(before, {"map": x})[0])
    onnx.checker.check_model(after, full_check=True)


@pytest.mark.parametrize(
    ("case", "count"),
    [
        ({"perm": "0, 1, 2", "spread": "-1, 8, 3, 2"}, 1),
        # The places are not what is flattened: the number of segments changes.
        ({"flat": "-1, 3, 8"}, 0),
        ({"spread": "-1, 3, 4, 2"}, 1),
    ],
)
def test_what_only_looks_alike_stays(case, count):
    before = there_and_back(**case)
    onnx.checker.check_model(before, full_check=True)
    after, changed = rewritten(before)
    assert changed == count
    x = np.random.default_rng(0).normal(size=(3, 6, 2, 4)).astype(np.float32)
    np.testing.assert_array_equal(run(after, {"map": x})[0], run(before, {"map": x})[0])


@pytest.mark.parametrize("form", ["spatial", "key"])
def test_a_sem_gives_the_same(form):
    before = traced_sem(form)
    after, count = rewritten(before)
    assert count == 2
    rng = np.random.default_rng(0)
    feed = {
        "map": rng.normal(size=(3, CHANNELS, 3, 4)).astype(np.float32),
        "text": rng.normal(size=(3, TEXT_SIZE)).astype(np.float32),
    }
    np.testing.assert_allclose(run(after, feed)[0], run(before, feed)[0], atol=1e-6)
