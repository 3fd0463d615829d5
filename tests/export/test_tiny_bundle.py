"""The committed bundle is what the code makes now; if not, run tests/make_tiny_bundle.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from safetensors.numpy import load_file

from mer_edge.bundle import GRAPHS, Bundle, Manifest

COMMITTED = Path(__file__).resolve().parents[1] / "data" / "tiny-bundle"


@pytest.fixture(scope="module")
def committed() -> Bundle:
    return Bundle.load(COMMITTED)


def test_it_is_small():
    assert sum(file.stat().st_size for file in COMMITTED.iterdir()) < 1_050_000


def test_the_manifests_agree(committed, exported):
    def without_hashes(manifest: Manifest) -> Manifest:
        graphs = {k: replace(spec, sha256="") for k, spec in manifest.graphs.items()}
        files = dict.fromkeys(sorted(manifest.files), "")
        return replace(manifest, graphs=graphs, files=files, provenance={}, parity=None)

    assert without_hashes(committed.manifest) == without_hashes(exported.bundle.manifest)


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_graphs_agree(graph, committed, exported):
    """Operators and weights, not bytes: folded constants may round otherwise elsewhere."""
    old, new = (onnx.load(b.graph_path(graph)).graph for b in (committed, exported.bundle))
    assert [node.op_type for node in old.node] == [node.op_type for node in new.node]
    weights = [{t.name: numpy_helper.to_array(t) for t in g.initializer} for g in (old, new)]
    assert set(weights[0]) == set(weights[1])
    for name, values in weights[0].items():
        np.testing.assert_allclose(values, weights[1][name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_the_tensors_agree(committed, exported):
    for name in ("golden.safetensors", "constants.safetensors"):
        old, new = (load_file(bundle.path / name) for bundle in (committed, exported.bundle))
        assert set(old) == set(new)
        for key, values in old.items():
            np.testing.assert_allclose(values, new[key], rtol=1e-4, atol=1e-5, err_msg=key)


def test_the_tokenizers_agree(committed, exported):
    assert committed.tokenizer_path.read_text() == exported.bundle.tokenizer_path.read_text()
