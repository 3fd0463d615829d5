"""The presets a user trains, at full size and with random weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from export.cases import FULL_GRID, SUBSETS, BatchShape, Case, cases_of
from export.gate import run_gate
from export.graphs import write_graph
from export.wrappers import plan_graphs
from mer_edge.decision import DecisionRule
from mer_edge.model.build import build_model
from mer_edge.model.config import EDGE, PAPER, ModelConfig
from mer_edge.parity.report import ParityReport


def measure(config: ModelConfig, cases: list[Case], folder: Path) -> ParityReport:
    model, _ = build_model(config, seed=0)
    plans = plan_graphs(model.eval())
    files = {name: folder / f"{name}.onnx" for name in plans}
    for name, plan in plans.items():
        write_graph(plan, files[name], {})
    precisions = dict.fromkeys(files, "fp32")
    rule = DecisionRule("multilabel", (0.5,) * len(config.labels))
    report = run_gate(model, plans, files, precisions, rule, cases=cases)
    report.require()
    return report.parity


def test_edge_agrees_with_pytorch(tmp_path):
    report = measure(EDGE, [*cases_of((BatchShape(1, 1, 3), BatchShape(2, 3, 128)))], tmp_path)
    assert report.cases == 14
    assert report.max_abs_logit_difference < 1e-5


@pytest.mark.slow
def test_paper_agrees_with_pytorch(tmp_path):
    """Each subset of the modalities and each size of the grid; ``make parity`` runs the whole."""
    subsets = (BatchShape(clips=1, segments=1, tokens=3), BatchShape(1, segments=2, tokens=128))
    everything = (BatchShape(clips=4, segments=5, tokens=3), BatchShape(1, segments=40, tokens=128))
    assert {*subsets, *everything} < set(FULL_GRID)
    mixed = Case(BatchShape(clips=7, segments=2, tokens=3), SUBSETS)
    cases = [*cases_of(subsets), *cases_of(everything, SUBSETS[:1]), mixed]
    report = measure(PAPER, cases, tmp_path)
    assert report.cases == 17
    assert report.max_abs_logit_difference <= 1e-4
