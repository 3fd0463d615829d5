"""Which bundles get convolutions by Winograd, and that they pass the gate with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from export.exporter import export_bundle
from export.options import ExportOptions
from mer_edge.model.build import build_model
from mer_edge.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from mer_edge.model.config import VisualSizes
from tests.make_tiny_bundle import SENTENCES
from tests.variants import CELLS
from train.datasets.tokenizer import build_tokenizer

WIDE = replace(CELLS["visual"], visual=VisualSizes((4, 8, 12, 128), (1, 1, 1, 2)))
"""Three convolutions of the last stage are from 128 channels to 128."""


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    run = tmp_path_factory.mktemp("wide") / "run"
    model, _ = build_model(WIDE, seed=0)
    tokenizer = build_tokenizer(SENTENCES, WIDE.text.vocab_size)
    save_checkpoint(run, model.eval(), tokenizer, [0.5] * len(WIDE.labels), "", {})
    return load_checkpoint(run)


@pytest.mark.parametrize(
    ("options", "convolutions"),
    [
        (ExportOptions("cpu", "fp32"), 3),
        (ExportOptions("cuda", "fp32"), 0),
    ],
    ids=["cpu", "cuda"],
)
def test_only_for_the_cpu(
    wide: Checkpoint, tmp_path: Path, options: ExportOptions, convolutions: int
) -> None:
    reports = []
    bundle = export_bundle(wide, tmp_path / "bundle", options, report=reports.append)
    visual = bundle.manifest.graphs["visual"]
    assert ("winograd" in visual.rewrites) is (convolutions > 0)
    graph = onnx.load(bundle.graph_path("visual")).graph
    kinds = [node.op_type for node in graph.node]
    # The stem, then five stages' blocks: of each its two, and the three that make maps smaller.
    assert kinds.count("Conv") == 1 + 2 * 5 + 3 - convolutions
    assert len(reports) == 1
