"""Exclusive labels from a checkpoint to a bundle that decides and verifies like it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from export.clip_batch import batch_of
from export.exporter import export_bundle, tokenizer_of
from export.options import ExportOptions
from mer_edge.bundle import Bundle
from mer_edge.decision import Temperatures
from mer_edge.model.build import build_model
from mer_edge.model.checkpoint import Checkpoint
from mer_edge.samples.clips import load_sample
from mer_edge.samples.manifest import read_manifest
from runtime.backend import open_backend
from runtime.recognizer import Recognizer
from runtime.verify import verify
from tests.export.conftest import Exported

TEMPERATURES = Temperatures(audio=2.0, visual=3.0, text=0.5, fused=0.25)


@pytest.fixture
def run(exported: Exported) -> Checkpoint:
    """The session's network as if its labels were exclusive, calibrated."""
    model, _ = build_model(replace(exported.checkpoint.model.config, task="multiclass"), seed=1)
    model.load_state_dict(exported.checkpoint.model.state_dict())
    return replace(
        exported.checkpoint,
        model=model.eval(),
        thresholds=[],
        temperatures=TEMPERATURES,
        min_confidence=0.3,
    )


def test_the_bundle_decides_like_the_network(run, copied_graphs, drawn_clips, tmp_path):
    export_bundle(run, tmp_path / "b")
    bundle = Bundle.load(tmp_path / "b")
    manifest = bundle.manifest
    assert (manifest.task, manifest.thresholds, manifest.min_confidence) == ("multiclass", [], 0.3)
    assert manifest.temperatures == TEMPERATURES
    golden = [one for one in manifest.parity.decisions if one.source == "golden"]
    assert [(one.part, one.clips) for one in golden] == [("fusion", 11), ("chain", 11)]
    assert all(0 < one.decisions <= 11 and one.agreement == 1.0 for one in golden)

    clip = load_sample(read_manifest(drawn_clips)[0])
    result = Recognizer(bundle, threads=1).recognize(clip)
    with torch.inference_mode():
        fused = run.model(batch_of([clip], tokenizer_of(run)))
    expected = torch.softmax(fused.logits[0] / 0.25, 0)
    assert list(result.probabilities.values()) == pytest.approx(expected.tolist(), abs=1e-5)
    assert result.top == manifest.labels[int(fused.logits[0].argmax())]
    for index, (say, temperature) in enumerate(
        zip(result.modalities.values(), (2.0, 3.0, 0.5), strict=True)
    ):
        own = torch.softmax(fused.decisions[0, index] / temperature, 0)
        assert list(say.probabilities.values()) == pytest.approx(own.tolist(), abs=1e-5)
    assert result.uncertain is (float(expected.max()) < 0.3)


def test_it_verifies_by_the_same_rule(run, copied_graphs, tmp_path):
    export_bundle(run, tmp_path / "b")
    bundle = Bundle.load(tmp_path / "b")
    found = verify(bundle, open_backend("cpu", bundle, 1))
    assert found.passed
    kept = [one for one in bundle.manifest.parity.decisions if one.source == "golden"]
    assert [(one.decisions, one.agreement) for one in found.parity.decisions] == [
        (one.decisions, one.agreement) for one in kept
    ]


def test_auto_counts_clips_and_not_labels(run, copied_graphs, drawn_clips, tmp_path):
    options = ExportOptions(precision="auto", calibrate=drawn_clips, calibration_clips=16)
    bundle = export_bundle(run, tmp_path / "b", options)
    choice = bundle.manifest.choice
    compared = bundle.manifest.calibration.compared_clips
    shares = np.array([plan.agreement for plan in choice.plans]) * compared
    assert shares == pytest.approx(shares.round())  # whole clips
    real = [one for one in bundle.manifest.parity.decisions if one.source == "real"]
    assert all(one.decisions == compared for one in real)
