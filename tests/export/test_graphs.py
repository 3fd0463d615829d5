import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

import export.graphs
from export.graphs import write_graph
from mer_edge.bundle import GRAPHS
from mer_edge.errors import MerEdgeError
from mer_edge.model.config import TINY

ROOT = Path(__file__).resolve().parents[2]
SIGNATURES = {
    "text": (
        {"input_ids": ("int64", ["batch", "tokens"])}
        | {"attention_mask": ("int64", ["batch", "tokens"])},
        {"text": ("float32", ["batch", 32])},
    ),
    "audio": (
        {"waveform": ("float32", ["segments", 15600]), "text": ("float32", ["segments", 32])},
        {"audio": ("float32", ["segments", 24])},
    ),
    "visual_stem": (
        {"faces": ("uint8", ["segments", 224, 224, 3])},
        {"visual_map": ("float32", ["segments", 28, 28, 12])},
    ),
    "visual": (
        {
            "visual_map": ("float32", ["segments", 28, 28, 12]),
            "text": ("float32", ["segments", 32]),
        },
        {"visual": ("float32", ["segments", 24])},
    ),
    "fusion": (
        {
            "audio": ("float32", ["batch", "clip_segments", 24]),
            "visual": ("float32", ["batch", "clip_segments", 24]),
            "text": ("float32", ["batch", 32]),
            "audio_mask": ("bool", ["batch", "clip_segments"]),
            "visual_mask": ("bool", ["batch", "clip_segments"]),
            "text_mask": ("bool", ["batch"]),
        },
        {
            "logits": ("float32", ["batch", 6]),
            "decisions": ("float32", ["batch", 3, 6]),
            "weights": ("float32", ["batch", 3]),
        },
    ),
}


@pytest.fixture(scope="module", params=GRAPHS)
def graph(request, exported):
    return request.param, onnx.load(exported.files[request.param])


def test_the_signature_is_the_contract(graph, exported):
    name, _ = graph
    spec = exported.bundle.manifest.graphs[name]
    inputs, outputs = SIGNATURES[name]
    assert {t.name: (t.dtype, t.shape) for t in spec.inputs} == inputs
    assert {t.name: (t.dtype, t.shape) for t in spec.outputs} == outputs


def test_onnxruntime_sees_the_same_signature(graph, exported):
    name, _ = graph
    session = onnxruntime.InferenceSession(exported.files[name])
    inputs, outputs = SIGNATURES[name]
    assert {v.name: v.shape for v in session.get_inputs()} == {k: v[1] for k, v in inputs.items()}
    assert {v.name: v.shape for v in session.get_outputs()} == {k: v[1] for k, v in outputs.items()}


def test_opset_20_and_standard_operators_only(graph):
    _, model = graph
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 20)]
    assert not model.functions
    assert {node.domain for node in model.graph.node} == {""}


def test_weights_are_inside_the_file(graph):
    name, model = graph
    assert all(tensor.data_location == 0 for tensor in model.graph.initializer)
    least = 18_000 if name == "visual_stem" else 50_000
    assert sum(numpy_helper.to_array(t).nbytes for t in model.graph.initializer) > least


def test_the_halves_of_the_visual_encoder_share_no_weight(exported):
    halves = [onnx.load(exported.files[name]).graph for name in ("visual_stem", "visual")]
    names = [{tensor.name for tensor in half.initializer} for half in halves]
    stages = [
        {name.split("backbone.")[1].split(".")[0] for name in half if "backbone." in name}
        for half in names
    ]
    assert stages == [{"conv1", "layer1", "layer2"}, {"layer3", "layer4"}]
    assert not [name for name in names[0] if "sems" in name]
    assert len([name for name in names[1] if "sems.3.norm" in name]) == 2
    assert not names[0] & names[1]


def test_metadata_names_the_graph_and_its_labels(graph):
    name, model = graph
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert set(metadata) == {f"mer_edge.{key}" for key in ("version", "variant", "graph", "labels")}
    assert metadata["mer_edge.graph"] == model.graph.name == name
    assert json.loads(metadata["mer_edge.labels"]) == list(TINY.labels)


def test_no_trace_of_the_machine_that_exported(graph, exported):
    name, _ = graph
    content = exported.files[name].read_bytes()
    for trace in (str(ROOT), str(Path.home()), "site-packages", "stack_trace", ".py"):
        assert trace.encode() not in content, trace


def test_front_ends_are_in_the_graphs(exported):
    audio = onnx.load(exported.files["audio"])
    assert {"Log", "Sqrt"} <= {node.op_type for node in audio.graph.node}
    stem = onnx.load(exported.files["visual_stem"])
    assert next(n for n in stem.graph.node if "faces" in n.input).op_type == "Cast"


def test_writing_a_graph_again_gives_the_same_bytes(exported, tmp_path):
    spec = exported.bundle.manifest.graphs["fusion"]
    model = onnx.load(exported.files["fusion"])
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    again = write_graph(exported.plans["fusion"], tmp_path / "fusion.onnx", metadata)
    assert spec.rewrites == []
    assert again == spec
    assert (tmp_path / "fusion.onnx").read_bytes() == exported.files["fusion"].read_bytes()


def test_a_graph_too_large_for_protobuf_is_refused_before_tracing(exported, tmp_path, monkeypatch):
    monkeypatch.setattr(export.graphs, "MAX_GRAPH_BYTES", 50_000)
    with pytest.raises(MerEdgeError, match=r"the text graph has .* GB of weights"):
        write_graph(exported.plans["text"], tmp_path / "text.onnx", {})
    assert list(tmp_path.iterdir()) == []


def test_no_example_size_can_be_taken_for_a_constant(exported):
    for plan in exported.plans.values():
        sizes: dict[str, set[int]] = {}
        for name, tensor in plan.example.items():
            for axis, dimension in plan.dynamic[name].items():
                sizes.setdefault(dimension, set()).add(tensor.shape[axis])
        assert all(len(found) == 1 and found.isdisjoint({0, 1}) for found in sizes.values())
        assert len(set.union(*sizes.values())) == len(sizes)


def test_any_size_runs(exported):
    session = onnxruntime.InferenceSession(exported.files["text"])
    for batch, tokens in ((1, 1), (1, 128), (6, 2)):
        ids = np.ones((batch, tokens), np.int64)
        (text,) = session.run(None, {"input_ids": ids, "attention_mask": ids})
        assert text.shape == (batch, 32)
        assert np.isfinite(text).all()
