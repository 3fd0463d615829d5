"""A network that averages its faces down before the first convolution, exported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from export.exporter import export_bundle
from export.options import ExportOptions
from mer_edge.model.build import build_model
from mer_edge.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tests.make_tiny_bundle import SENTENCES
from tests.variants import CELLS
from train.datasets.tokenizer import build_tokenizer

POOLED = replace(CELLS["visual"], visual=replace(CELLS["visual"].visual, pool=2))


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    run = tmp_path_factory.mktemp("pooled") / "run"
    model, _ = build_model(POOLED, seed=0)
    tokenizer = build_tokenizer(SENTENCES, POOLED.text.vocab_size)
    save_checkpoint(run, model.eval(), tokenizer, [0.5] * len(POOLED.labels), "", {})
    checkpoint = load_checkpoint(run)
    assert checkpoint.model.config.visual.pool == 2
    return checkpoint


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_it_passes_the_gate(
    pooled: Checkpoint, drawn_clips: Path, tmp_path: Path, precision: str
) -> None:
    options = ExportOptions("cpu", precision, drawn_clips if precision == "int8" else None)
    bundle = export_bundle(pooled, tmp_path / "bundle", options)
    spec = bundle.manifest.graphs["visual"]
    assert spec.precision == precision
    kinds = [node.op_type for node in onnx.load(bundle.graph_path("visual")).graph.node]
    # The faces' own pool besides the stem's MaxPool, before the first convolution.
    assert kinds.count("AveragePool") == 1
    convolutions = [i for i, kind in enumerate(kinds) if "Conv" in kind]
    assert kinds.index("AveragePool") < convolutions[0]
