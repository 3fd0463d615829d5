"""The graphs are plain ONNX: other engines open them without any of our code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from safetensors.numpy import load_file

from export.golden import TOLERANCE
from export.precision.integer import to_int8
from export.rewrites import apply_rewrites
from export.runners import OnnxRunner
from mer_edge.bundle import GOLDEN, GRAPHS
from mer_edge.processor import exact_int8, int8_saturates

OUTPUTS = {"text": "text", "audio": "audio", "visual_stem": "visual_map", "visual": "visual"}
"""Of the graphs that have weights in eight bits, what they give."""
Run = Callable[[Path, dict[str, np.ndarray]], dict[str, np.ndarray]]


def output_names(file: Path) -> list[str]:
    return [value.name for value in onnx.load(file).graph.output]


def with_openvino(file: Path, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    # Left alone it computes in bf16 on processors that have it.
    compiled = core.compile_model(core.read_model(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = compiled(feed)
    return {name: results[name] for name in output_names(file)}


def with_polygraphy(file: Path, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    backend = pytest.importorskip("polygraphy.backend.onnxrt")

    def session() -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        exact_int8(options)  # TensorRT's graphs have eight full bits
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    with backend.OnnxrtRunner(session) as runner:
        return dict(runner.infer(feed))


ENGINES = pytest.mark.parametrize("run", [with_openvino, with_polygraphy])


def golden(exported, graph: str) -> dict[str, np.ndarray]:
    """Of the case ``full``, whose inputs are in the file as they are."""
    prefix = f"full.{graph}."
    tensors = load_file(exported.bundle.path / GOLDEN)
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def split(file: Path, tensors: dict[str, np.ndarray]) -> tuple[dict, dict]:
    """Inputs and outputs of the graph, told apart by the file itself."""
    names = {value.name for value in onnx.load(file).graph.input}
    return (
        {k: v for k, v in tensors.items() if k in names},
        {k: v for k, v in tensors.items() if k not in names},
    )


@ENGINES
@pytest.mark.parametrize("graph", GRAPHS)
def test_fp32_graphs_reproduce_the_golden_tensors(exported, run: Run, graph):
    file = exported.files[graph]
    feed, expected = split(file, golden(exported, graph))
    found = run(file, feed)
    assert set(found) == set(expected) != set()
    for name, values in expected.items():
        bound = TOLERANCE * max(1.0, np.abs(values).max())
        np.testing.assert_allclose(found[name], values, atol=bound, rtol=0)


@ENGINES
@pytest.mark.parametrize("graph", OUTPUTS)
def test_rewritten_graphs_do_so_at_other_sizes(exported, run: Run, graph, tmp_path):
    proto, _ = apply_rewrites(graph, onnx.load(exported.files[graph]))
    file = tmp_path / f"{graph}.onnx"
    onnx.save(proto, file)
    rng = np.random.default_rng(4)
    text = rng.normal(size=(5, 32)).astype(np.float32)
    feed = {
        "text": {
            "input_ids": rng.integers(0, 512, (3, 11)),
            "attention_mask": (np.arange(11) < np.array([[11], [4], [1]])).astype(np.int64),
        },
        "audio": {
            "waveform": rng.uniform(-1, 1, (5, 15600)).astype(np.float32),
            "text": text,
        },
        "visual_stem": {"faces": rng.integers(0, 256, (5, 224, 224, 3), dtype=np.uint8)},
        "visual": {
            "visual_map": np.maximum(rng.normal(size=(5, 28, 28, 12)), 0).astype(np.float32),
            "text": text,
        },
    }[graph]
    name = OUTPUTS[graph]
    expected = OnnxRunner({graph: exported.files[graph]}).run(graph, feed)[name]
    np.testing.assert_allclose(run(file, feed)[name], expected, atol=TOLERANCE, rtol=0)


@ENGINES
@pytest.mark.parametrize("recipe", ["cpu", "tensorrt"])
@pytest.mark.parametrize("graph", OUTPUTS)
def test_int8_graphs_load_and_give_what_onnx_runtime_gives(
    exported, run: Run, graph, recipe, tmp_path
):
    before = exported.files[graph]
    feed, expected = split(before, golden(exported, graph))
    file = tmp_path / f"{graph}.onnx"
    onnx.save(to_int8(onnx.load(before), [feed], recipe).proto, file)
    kinds = {node.op_type for node in onnx.load(file).graph.node}
    assert kinds & {"QuantizeLinear", "DynamicQuantizeLinear"}
    name = OUTPUTS[graph]
    if recipe == "tensorrt" and run is with_openvino and int8_saturates():
        pytest.skip("OpenVINO's kernels saturate on this processor; these weights are TensorRT's")
    ours = OnnxRunner({graph: file}).run(graph, feed)[name]
    found = run(file, feed)[name]
    spread = np.abs(expected[name]).max()
    # Engines round halves and fuse in their own ways: one step of eight bits here and there.
    assert np.abs(found - ours).max() < 0.05 * spread
    assert np.abs(found - expected[name]).max() < 0.15 * spread


def test_the_files_say_what_they_are_after_the_rewrites(exported):
    for graph, file in exported.files.items():
        before = onnx.load(file)
        after, _ = apply_rewrites(graph, before)
        properties = {entry.key: entry.value for entry in after.metadata_props}
        assert properties == {entry.key: entry.value for entry in before.metadata_props}
        assert properties["mer_edge.graph"] == graph
        assert '"ang"' in properties["mer_edge.labels"]
        assert properties["mer_edge.variant"] == "MER-SEM-MBT"
        assert properties["mer_edge.version"]
