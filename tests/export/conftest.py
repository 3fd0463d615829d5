"""One tiny model, exported once through the command line, for all tests that only read it."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import onnx
import pytest

import export.exporter
import export.gate
from export.cases import BatchShape, cases_of
from export.graphs import GraphPlan
from export.wrappers import plan_graphs
from mer_edge.bundle import Bundle
from mer_edge.cli.main import main
from mer_edge.model.checkpoint import Checkpoint, load_checkpoint
from tests.make_tiny_bundle import make_checkpoint
from tests.once import made_once
from train.datasets.drawn import generate


@dataclass(frozen=True)
class Exported:
    """A training run, the bundle made of it, and what the command printed."""

    run: Path
    checkpoint: Checkpoint
    bundle: Bundle
    outcome: dict
    plans: dict[str, GraphPlan]

    @property
    def files(self) -> dict[str, Path]:
        return {name: self.bundle.graph_path(name) for name in self.bundle.manifest.graphs}


def run_export(folder: Path) -> None:
    make_checkpoint(folder / "run")
    stdout = io.StringIO()
    with contextlib.redirect_stdout(stdout):
        command = ["export", str(folder / "run"), "--out", str(folder / "bundle"), "--json"]
        assert main(command) == 0
    (folder / "stdout").write_text(stdout.getvalue())


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = made_once(tmp_path_factory, "exported", run_export)
    checkpoint = load_checkpoint(folder / "run")
    return Exported(
        folder / "run",
        checkpoint,
        Bundle.load(folder / "bundle"),
        json.loads((folder / "stdout").read_text()),
        plan_graphs(checkpoint.model),
    )


def write_clips(folder: Path) -> None:
    generate(folder / "data", 24, 7)


@pytest.fixture(scope="session")
def drawn_clips(tmp_path_factory):
    """A data set of 24 drawn clips, 16 of them to train with."""
    return made_once(tmp_path_factory, "calibration-clips", write_clips) / "data"


@pytest.fixture
def copied_graphs(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for seconds of tracing: the graphs of the same model, already written.

    The gate has one shape; the session's export went through the whole of it.
    """

    def trace_graph(plan, metadata):
        return onnx.load(exported.files[plan.name])

    def gate_cases(config):
        return list(cases_of([BatchShape(2, 2, 5)]))

    monkeypatch.setattr(export.exporter, "trace_graph", trace_graph)
    monkeypatch.setattr(export.gate, "gate_cases", gate_cases)
