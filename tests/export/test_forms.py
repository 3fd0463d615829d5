"""Every attention form and any SEM position export and agree with PyTorch.

A form changes the graphs that have SEMs; the others are taken from the session's export, whose
weights the new model shares.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx

from export.cases import SUBSETS, BatchShape, Case, cases_of
from export.gate import run_gate
from export.graphs import write_graph
from export.wrappers import plan_graphs
from mer_edge.decision import DecisionRule
from mer_edge.model.build import build_model

RULE = DecisionRule("multilabel", (0.5,) * 6)
SHAPES = (BatchShape(1, 1, 3), BatchShape(3, 5, 11))


def check_form(exported, folder: Path, changed: tuple[str, ...], **config) -> None:
    """Export the ``changed`` graphs of the tiny model with another configuration, and compare."""
    base = exported.checkpoint.model
    model, _ = build_model(replace(base.config, **config), seed=5)
    shared = {
        name: weight
        for name, weight in base.state_dict().items()
        if not name.startswith(("vggish.", "resnet."))
    }
    missing, surplus = model.load_state_dict(shared, strict=False)
    assert all(name.startswith(("vggish.", "resnet.")) for name in missing)
    assert not surplus
    plans = plan_graphs(model.eval())
    files = dict(exported.files)
    for name in changed:
        files[name] = folder / f"{name}.onnx"
        write_graph(plans[name], files[name], {})
    cases = [*cases_of(SHAPES), Case(BatchShape(7, 2, 5), SUBSETS)]
    precisions = dict.fromkeys(files, "fp32")
    report = run_gate(model, plans, files, precisions, RULE, cases=cases)
    report.require()
    assert report.parity.cases == 15
    assert report.parity.max_abs_logit_difference < 1e-5


def inputs(file: Path) -> list[str]:
    return [value.name for value in onnx.load(file).graph.input]


def test_spatial_is_what_the_session_exports(exported):
    assert exported.checkpoint.model.config.sem_attention == "spatial"
    assert inputs(exported.files["audio"]) == ["waveform", "text"]


def test_key_with_sems_everywhere_in_the_face_encoder_and_none_in_the_audio_encoder(
    exported, tmp_path
):
    check_form(
        exported,
        tmp_path,
        ("audio", "visual_stem", "visual"),
        sem_attention="key",
        audio_sem_positions=(),
        visual_sem_positions=(1, 2, 3, 4, 5),
    )
    # An encoder without SEMs takes no text; the literal formula needs neither Conv_q nor Conv_k.
    assert inputs(tmp_path / "audio.onnx") == ["waveform"]
    assert inputs(tmp_path / "visual_stem.onnx") == ["faces"]
    assert inputs(tmp_path / "visual.onnx") == ["visual_map", "text"]
    visual = onnx.load(tmp_path / "visual.onnx")
    weights = [tensor.name for tensor in visual.graph.initializer]
    assert not [name for name in weights if "conv_q" in name or "conv_k" in name]
    assert "Softmax" not in {node.op_type for node in visual.graph.node}


def test_tokens_with_sems_everywhere_in_the_audio_encoder(exported, tmp_path):
    check_form(
        exported,
        tmp_path,
        ("text", "audio", "visual_stem", "visual"),
        sem_attention="tokens",
        audio_sem_positions=(1, 2, 3, 4),
    )
    text = onnx.load(tmp_path / "text.onnx")
    assert [value.name for value in text.graph.output] == ["text", "tokens"]
    assert inputs(tmp_path / "audio.onnx") == ["waveform", "tokens", "token_mask"]
    assert inputs(tmp_path / "visual.onnx") == ["visual_map", "tokens", "token_mask"]
