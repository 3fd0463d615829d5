from __future__ import annotations

import numpy as np
import onnx
import pytest

from export.rewrites import apply_rewrites
from tests.export.rewrites.traced_parts import run, traced_sem, traced_text

METADATA = {
    "mer_edge.version": "1.2.3",
    "mer_edge.variant": "MER-SEM-MBT",
    "mer_edge.graph": "visual",
    "mer_edge.labels": '["anger", "sad"]',
}


def with_metadata(proto: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    onnx.helper.set_model_props(copy, METADATA)
    return copy


@pytest.mark.parametrize(
    ("name", "traced", "applied"),
    [
        ("text", lambda: traced_text(False), ["first-token"]),
        ("visual", lambda: traced_sem("spatial"), ["linear-pairs", "channels-last"]),
        ("audio", lambda: traced_sem("tokens"), ["linear-pairs", "channels-last"]),
    ],
    ids=["text", "visual", "audio"],
)
def test_names_what_was_applied_and_keeps_the_contract(name, traced, applied):
    before = with_metadata(traced())
    after, names = apply_rewrites(name, before)
    assert names == applied
    assert after != before
    onnx.checker.check_model(after, full_check=True)
    assert after.graph.input == before.graph.input
    assert [value.name for value in after.graph.output] == [v.name for v in before.graph.output]
    assert {entry.key: entry.value for entry in after.metadata_props} == METADATA
    assert after.opset_import == before.opset_import


def test_weights_that_nothing_reads_any_more_are_gone():
    before = traced_sem("spatial")
    after, _ = apply_rewrites("audio", before)
    read = {name for node in after.graph.node for name in node.input}
    assert {weight.name for weight in after.graph.initializer} <= read
    assert after.ByteSize() < before.ByteSize()


def test_a_second_time_there_is_nothing_to_do():
    once, _ = apply_rewrites("text", traced_text(False))
    assert apply_rewrites("text", once) == (once, [])
    once, _ = apply_rewrites("visual", traced_sem("spatial"))
    assert apply_rewrites("visual", once) == (once, [])


@pytest.mark.parametrize("name", ["text", "fusion"])
def test_a_graph_without_anything_to_rewrite_is_given_back(name):
    proto = traced_text(True)
    after, names = apply_rewrites(name, proto)
    assert after is proto
    assert names == []


def test_the_graph_handed_in_stays_as_it_was():
    before = traced_text(False)
    content = before.SerializeToString(deterministic=True)
    after, _ = apply_rewrites("text", before)
    assert before.SerializeToString(deterministic=True) == content
    feed = {name: np.ones((1, 3), np.int64) for name in ("input_ids", "attention_mask")}
    np.testing.assert_allclose(run(after, feed)[0], run(before, feed)[0], atol=1e-6)
