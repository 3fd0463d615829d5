"""Weights beside their graph: the same graph, verified with the bundle."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

import export.weights_file
from export.exporter import export_bundle
from export.options import ExportOptions
from export.runners import OnnxRunner
from export.weights_file import HASH_KEY, move_weights_out
from mer_edge.bundle import Bundle, sha256_of
from mer_edge.errors import MerEdgeError
from runtime.bench.workload import synthetic_clip
from runtime.recognizer import Recognizer
from tests.export.broken import with_changed_weight


@pytest.fixture
def every_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small graphs are treated like large ones."""
    monkeypatch.setattr(export.weights_file, "MIN_GRAPH_BYTES", 0)
    monkeypatch.setattr(export.weights_file, "MIN_TENSOR_BYTES", 1000)


def feed() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "waveform": rng.normal(0, 0.1, (2, 15600)).astype(np.float32),
        "text": rng.normal(size=(2, 32)).astype(np.float32),
    }


def test_small_graphs_stay_in_one_piece(exported, tmp_path):
    file = Path(shutil.copy(exported.files["audio"], tmp_path))
    spec = exported.bundle.manifest.graphs["audio"]
    assert move_weights_out(file, spec) == (spec, None)
    assert [path.name for path in tmp_path.iterdir()] == ["audio.onnx"]


def test_the_graph_is_the_same_and_its_weights_are_beside_it(exported, tmp_path, every_graph):
    file = Path(shutil.copy(exported.files["audio"], tmp_path))
    before = OnnxRunner({"audio": exported.files["audio"]}).run("audio", feed())
    spec, weights = move_weights_out(file, exported.bundle.manifest.graphs["audio"])
    assert weights == tmp_path / "audio.weights"
    assert spec.sha256 == sha256_of(file)
    assert weights.stat().st_size > 5 * file.stat().st_size
    inside = onnx.load(file, load_external_data=False)
    assert {p.key: p.value for p in inside.metadata_props}[HASH_KEY] == sha256_of(weights)
    outside = [t for t in inside.graph.initializer if t.external_data]
    offsets = [int(e.value) for t in outside for e in t.external_data if e.key == "offset"]
    assert len(offsets) == len(outside) > 3
    assert not any(offset % 4096 for offset in offsets)
    onnx.checker.check_model(str(file), full_check=True)
    after = OnnxRunner({"audio": file}).run("audio", feed())
    np.testing.assert_array_equal(after["audio"], before["audio"])


def test_other_weights_are_another_graph(exported, tmp_path, every_graph):
    """Engines are found by the hash of the graph's file alone."""
    spec = exported.bundle.manifest.graphs["audio"]
    one, other = tmp_path / "one.onnx", tmp_path / "other.onnx"
    shutil.copy(exported.files["audio"], one)
    with_changed_weight(exported.files["audio"], other, "backbone.embeddings.0.weight", 1.0)
    assert move_weights_out(one, spec)[0].sha256 != move_weights_out(other, spec)[0].sha256


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_a_bundle_for_the_cpu_has_them_and_verifies_them(
    exported, copied_graphs, tmp_path, every_graph, target
):
    out = tmp_path / "bundle"
    bundle = export_bundle(exported.run, out, ExportOptions(target))
    found = sorted(path.name for path in out.glob("*.weights"))
    if target == "cuda":  # engines are built of files in one piece
        assert found == []
        return
    assert "audio.weights" in found
    assert set(found) <= set(bundle.manifest.files)
    clip = synthetic_clip(bundle, segments=2, tokens=8)
    one, other = (Recognizer(b).recognize(clip) for b in (bundle, exported.bundle))
    assert one.probabilities == other.probabilities
    with (out / "audio.weights").open("r+b") as file:
        file.seek(5000)
        file.write(b"\0\1\2\3")
    with pytest.raises(MerEdgeError, match=r"audio\.weights: the file is not the one"):
        Bundle.load(out)
    (out / "audio.weights").unlink()
    with pytest.raises(MerEdgeError, match=r"audio\.weights: the file is missing"):
        Bundle.load(out)
