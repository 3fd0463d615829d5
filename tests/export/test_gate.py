"""The gate opens for sound graphs, and for each real fault stays shut and says where it is."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch

import export.gate
from export.cases import FULL_GRID, SUBSETS, BatchShape, Case, cases_of, make_batch
from export.extremes import extremes_of
from export.gate import run_gate
from mer_edge.bundle import Parity
from mer_edge.clip import Clip
from mer_edge.decision import DecisionRule
from mer_edge.errors import MerEdgeError
from mer_edge.parity.limits import LIMITS
from mer_edge.text.tokenizer import TextTokenizer
from tests.export.broken import (
    with_changed_weight,
    with_fixed_batch,
    with_fixed_rows,
    with_noisy_weights,
    with_swapped_names,
)

ALL = ("audio", "visual", "text")
CASE = Case(BatchShape(2, 3, 6), (ALL,))
RULE = DecisionRule("multilabel", (0.5,) * 6)


@pytest.fixture
def gate(exported, monkeypatch):
    """Run the gate on some cases, single graphs replaced, and without the longest shapes."""

    def run(cases=(CASE,), precisions=None, longest=False, clips=(), **changed):
        monkeypatch.setattr(export.gate, "gate_cases", lambda config: list(cases))
        if not longest:
            monkeypatch.setattr(export.gate, "golden_batches", lambda model: {})
        chosen = extremes_of if longest else lambda plan, ranges: ([], [])
        monkeypatch.setattr(export.gate, "extremes_of", chosen)
        files = exported.files | changed
        return run_gate(
            exported.checkpoint.model,
            exported.plans,
            files,
            dict.fromkeys(files, "fp32") | (precisions or {}),
            RULE,
            clips,
            tokenizer=TextTokenizer(exported.checkpoint.tokenizer_path, 128),
            originals=exported.files,
        )

    return run


def some_clips(count: int) -> list[Clip]:
    rng = np.random.default_rng(1)
    return [
        Clip(
            text=("I am so happy to see you again!", None)[number % 2],
            waveform=(0.1 * rng.standard_normal((2, 15600))).astype(np.float32),
            faces=rng.integers(0, 256, (2, 224, 224, 3), dtype=np.uint8),
            audio_present=np.array([True, number % 3 > 0]),
            face_present=np.array([number % 4 < 2, False]),
            source=f"clip-{number}.mp4",
        )
        for number in range(count)
    ]


def refusal(report) -> str:
    assert not report.passed
    with pytest.raises(MerEdgeError) as error:
        report.require()
    return str(error.value)


def test_sound_graphs_pass_at_every_shape(gate):
    report = gate([CASE, Case(BatchShape(7, 2, 9), SUBSETS)], longest=True, clips=some_clips(3))
    report.require()
    parity = report.parity
    assert parity.max_abs_logit_difference < 1e-5
    assert {one.part for one in parity.measured} == {
        "modules", "text", "audio", "visual_stem", "visual", "fusion", "chain",
    }  # fmt: skip
    cases = {one.case for one in parity.measured}
    assert "clip-2.mp4" in cases
    assert {
        "text alone at batch 16, tokens 128",
        "audio alone at segments 64",
        "visual_stem alone at segments 64",
        "visual alone at segments 64",
        "fusion alone at batch 16, clip_segments 256",
    } < cases
    assert [(d.source, d.part, d.clips) for d in parity.decisions] == [
        ("real", "fusion", 3),
        ("real", "chain", 3),
        ("random", "fusion", 9),
        ("random", "chain", 9),
        ("golden", "fusion", 11),
        ("golden", "chain", 11),
    ]
    assert [(d.decisions, d.agreement) for d in parity.decisions[:2]] == [(18, 1.0)] * 2


def test_the_manifest_has_the_numbers_and_reads_them_back(gate):
    report = gate(clips=some_clips(1))
    found = msgspec.json.decode(msgspec.json.encode(report.to_manifest()), type=Parity)
    assert found == report.to_manifest()
    assert (found.cases, found.real_clips, found.precision, found.tolerance) == (1, 1, "fp32", 1e-4)
    assert found.limits == {"fp32": LIMITS["fp32"]}
    (logits,) = [t for t in found.tensors if (t.part, t.tensor) == ("chain", "logits")]
    assert logits.max_abs == found.max_abs_logit_difference
    assert 0 < logits.mean_abs <= logits.quantile_999_abs <= logits.max_abs < 1e-5
    assert logits.share_of_limit == pytest.approx(logits.max_abs / 1e-4)
    assert logits.cosine > 0.999999
    assert len(logits.index) == 2
    assert "nan" not in json.dumps(msgspec.to_builtins(found)).lower()


def test_the_full_grid_agrees_with_pytorch(gate):
    report = gate(list(cases_of(FULL_GRID)))
    assert report.passed
    assert report.parity.cases == 112
    # An order of magnitude tighter than required; measured 4e-7.
    assert report.parity.max_abs_logit_difference < 1e-5


def test_the_comparison_depends_on_the_clips(exported):
    """Equal outputs for all clips would agree too, and mean nothing."""
    model = exported.checkpoint.model
    with torch.inference_mode():
        logits = [model(make_batch(model.config, CASE, seed)).logits for seed in (0, 1)]
        alone = [model(make_batch(model.config, Case(CASE.shape, (s,)))).logits for s in SUBSETS]
    assert (logits[0] - logits[1]).abs().max() > 1e-3
    for i, one in enumerate(alone):
        for other in alone[i + 1 :]:
            assert (one - other).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("graph", "weight", "layer"),
    [
        ("text", "bert.embeddings.LayerNorm.weight", "LayerNormalization"),
        ("audio", "sems.4.norm.weight", "LayerNormalization"),
        ("visual_stem", "layer2.0.downsample.0.weight", "Conv"),
        ("visual", "sems.5.norm.weight", "LayerNormalization"),
        ("fusion", "audio_decision.3.bias", "Gemm"),
    ],
)
def test_a_changed_weight_is_found_in_its_graph_and_layer(
    exported, gate, tmp_path, graph, weight, layer
):
    file = with_changed_weight(exported.files[graph], tmp_path / f"{graph}.onnx", weight, 0.5)
    message = refusal(gate(**{graph: file}))
    assert f"the first part to differ is the {graph} graph alone (fp32)" in message
    assert re.search(
        rf"in the {graph} graph it begins at {layer} \S*: \S+: max \d+\.\d+ at", message
    )
    assert "2 clip(s) of 3 segment(s) and 6 tokens with audio+visual+text" in message
    assert "no bundle was written" in message


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_value_that_is_not_finite_fails_in_every_precision(exported, gate, tmp_path, precision):
    file = with_changed_weight(
        exported.files["fusion"], tmp_path / "fusion.onnx", "audio_decision.3.bias", math.nan
    )
    report = gate(fusion=file, precisions={"fusion": precision})
    assert report.parity.max_abs_logit_difference == math.inf
    assert "the fusion graph alone" in (message := refusal(report))
    assert "logits[0, 0] is not finite" in message
    # Nothing is said of decisions that there are not.
    assert report.parity.decisions == []


def test_without_its_original_a_graph_is_traced_again(exported, gate, tmp_path):
    file = with_changed_weight(
        exported.files["fusion"], tmp_path / "fusion.onnx", "audio_decision.3.bias", 0.5
    )
    report = replace(gate(fusion=file), originals={})
    assert "in the fusion graph it begins at Gemm" in refusal(report)


def test_one_bad_graph_shows_in_the_cases_that_run_it_alone(exported, gate, tmp_path):
    file = with_changed_weight(
        exported.files["audio"], tmp_path / "audio.onnx", "sems.4.norm.weight", 0.5
    )
    report = gate(cases_of([BatchShape(1, 2, 4)]), audio=file)
    failed = {one.case for one in report.parity.failures}
    assert len(failed) == 4
    assert all("audio" in case for case in failed)


def test_swapped_inputs_are_found(exported, gate, tmp_path):
    """Two masks of one shape and type: nothing but values can tell."""
    file = with_swapped_names(
        exported.files["fusion"], tmp_path / "fusion.onnx", "audio_mask", "visual_mask"
    )
    case = Case(BatchShape(2, 4, 5), (("audio", "text"), ("visual",)))
    for precision in LIMITS:
        message = refusal(gate([case], fusion=file, precisions={"fusion": precision}))
        assert f"the fusion graph alone ({precision})" in message


def test_swapped_outputs_have_another_shape_and_stop_at_once(exported, gate, tmp_path):
    file = with_swapped_names(
        exported.files["fusion"], tmp_path / "fusion.onnx", "logits", "weights"
    )
    with pytest.raises(MerEdgeError, match=r"logits has the shape \(2, 3\), expected \(2, 6\)"):
        gate(fusion=file)


def test_a_graph_that_runs_but_knows_the_traced_shape_alone_is_found(exported, gate, tmp_path):
    file = with_fixed_rows(exported.files["audio"], tmp_path / "audio.onnx", "waveform", 3)
    gate(
        [Case(BatchShape(1, 3, 5), (ALL,))], audio=file
    ).require()  # the traced shape shows nothing
    message = refusal(gate([Case(BatchShape(1, 5, 5), (ALL,))], audio=file))
    assert "the first part to differ is the audio graph alone" in message


def test_the_longest_shape_finds_what_the_others_do_not(exported, gate, tmp_path):
    file = with_fixed_rows(exported.files["audio"], tmp_path / "audio.onnx", "waveform", 59)
    gate(audio=file).require()
    # The same segments repeated would be right at any place: 59 is prime.
    case = Case(BatchShape(1, 7, 5), (ALL,))
    assert "audio alone at segments 64" in refusal(gate([case], audio=file, longest=True))


def test_a_graph_of_one_batch_size_is_refused_by_name(exported, gate, tmp_path):
    file = with_fixed_batch(exported.files["text"], tmp_path / "text.onnx", 2)
    gate(text=file).require()
    with pytest.raises(MerEdgeError, match=r"text graph does not run on input_ids \(1, 4\)"):
        gate([Case(BatchShape(1, 2, 4), (ALL,))], text=file)


def test_what_eight_bits_cost_passes_as_int8_only(exported, gate, tmp_path):
    """Weights off by a hundredth of their spread, which is what eight bits do to them."""
    file = with_noisy_weights(exported.files["visual"], tmp_path / "visual.onnx", 0.01)
    report = gate(visual=file, precisions={"visual": "int8"})
    report.require()
    parity = report.to_manifest()
    assert (parity.precision, parity.tolerance) == ("int8", None)
    assert set(parity.limits) == {"fp32", "int8"}
    # The other graphs are held to their own precision.
    assert {t.precision for t in parity.tensors if t.part == "audio"} == {"fp32"}
    assert "the visual graph alone (fp32)" in refusal(gate(visual=file))


def test_too_much_noise_fails_as_int8_too(exported, gate, tmp_path):
    file = with_noisy_weights(exported.files["visual"], tmp_path / "visual.onnx", 3.0)
    message = refusal(gate(visual=file, precisions={"visual": "int8"}))
    assert "the visual graph alone (int8), visual: max" in message
    assert "keep the visual in a higher precision" in message


def test_clips_with_text_need_the_tokenizer(exported):
    with pytest.raises(MerEdgeError, match="there is no tokenizer"):
        run_gate(
            exported.checkpoint.model, exported.plans, exported.files,
            dict.fromkeys(exported.files, "fp32"), RULE, some_clips(1),
        )  # fmt: skip


def test_progress_is_told_each_run(exported, monkeypatch):
    monkeypatch.setattr(export.gate, "gate_cases", lambda config: [CASE])
    monkeypatch.setattr(export.gate, "golden_batches", lambda model: {})
    seen: list[tuple[str, int, int]] = []
    run_gate(
        exported.checkpoint.model, exported.plans, exported.files,
        dict.fromkeys(exported.files, "fp32"), RULE,
        progress=lambda *step: seen.append(step),
    )  # fmt: skip
    assert seen == [("random clips", 1, 6), *(("longest shapes", n, 6) for n in range(2, 7))]
