"""A checkpoint comes back as it was, and a damaged one says what is wrong."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from mer_edge.decision import Temperatures, probabilities_of
from mer_edge.errors import MerEdgeError
from mer_edge.evidence import Evidence
from mer_edge.model.checkpoint import calibrate_checkpoint, load_checkpoint, save_checkpoint
from mer_edge.model.config import TINY, with_variant
from mer_edge.model.logmel import LogMel
from tests.mer_edge.model.batches import random_batch, tiny_model

LABELS = ("angry", "happy", "neutral", "sad")
THRESHOLDS = [0.5, 0.35, 0.6, 0.05]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model = tiny_model(labels=LABELS, sem_attention="tokens", audio_sem_positions=(1, 4))
    save_checkpoint(
        tmp_path / "run", model, '{"version": "1.0"}', THRESHOLDS, "from drawings", {"seed": "0"}
    )
    return tmp_path / "run"


def test_whoever_may_read_one_file_may_read_all(saved: Path) -> None:
    assert len({path.stat().st_mode for path in saved.iterdir()}) == 1


def test_comes_back_as_it_was(saved: Path) -> None:
    model = tiny_model(labels=LABELS, sem_attention="tokens", audio_sem_positions=(1, 4))
    checkpoint = load_checkpoint(saved)
    assert checkpoint.model.config == model.config
    assert checkpoint.thresholds == THRESHOLDS
    assert checkpoint.notice == "from drawings"
    assert checkpoint.provenance == {"seed": "0"}
    assert checkpoint.tokenizer_path.read_text() == '{"version": "1.0"}'
    assert not checkpoint.model.training
    batch = random_batch()
    for ours, theirs in zip(checkpoint.model(batch), model(batch), strict=True):
        assert torch.equal(ours, theirs)


def test_loading_leaves_the_random_state_alone(saved: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_checkpoint(saved)
    assert torch.equal(torch.rand(3), expected)


def test_files_are_standard_and_hold_no_constants(saved: Path) -> None:
    assert sorted(path.name for path in saved.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    config = json.loads((saved / "config.json").read_text())
    assert config["schema_version"] == 1
    assert config["model"]["labels"] == list(LABELS)
    assert not [name for name in load_file(saved / "model.safetensors") if "logmel" in name]


def test_does_not_overwrite_unasked(saved: Path) -> None:
    model = tiny_model(labels=LABELS)
    with pytest.raises(MerEdgeError, match="exists already"):
        save_checkpoint(saved, model, "{}", THRESHOLDS)
    save_checkpoint(saved, model, "{}", THRESHOLDS, overwrite=True)
    assert load_checkpoint(saved).model.config.sem_attention == "spatial"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(MerEdgeError, match=f"{name} is missing"):
        load_checkpoint(saved)


def change_config(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = directory / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(schema_version=2), "schema version 2; expected 1"),
        (lambda c: c.clear(), "schema version None; expected 1"),
        (lambda c: c["model"].pop("audio"), "missing required field `audio`"),
        (lambda c: c["model"].update(bottleneck_size="64"), "Expected `int`, got `str`"),
        (lambda c: c["model"].update(sem_attention="magic"), "Invalid enum value 'magic'"),
        (lambda c: c["model"].update(bottleneck_size=25), "expected a multiple of 4 heads"),
        (lambda c: c["model"].update(audio_sem_positions=[5]), "different numbers from 1 to 4"),
        (lambda c: c["model"]["text"].update(hidden_act="magic"), "hidden_act is 'magic'"),
        (lambda c: c["model"]["visual"].update(channels=[8, 12, 16, 0]), "visual.channels is 0"),
        (lambda c: c["model"]["audio"].update(level_dbfs=6.0), "a number from -60 to 0"),
        (lambda c: c["model"]["visual"].update(channels=[8, 12, 16, 32]), "has the shape"),
        (lambda c: c["model"].update(audio_sem_positions=[]), "surplus key vggish.sems.1"),
        (lambda c: c["model"].update(task="ranking"), "Invalid enum value 'ranking'"),
        (lambda c: c["model"].update(task="multiclass"), "4 thresholds of exclusive labels"),
        (lambda c: c.update(min_confidence=0.5), "min_confidence of independent labels"),
        (lambda c: c["temperatures"].update(visual=0), "the temperature visual is 0"),
        (lambda c: c["thresholds"].pop(), "3 thresholds for 4 labels"),
        (lambda c: c["thresholds"].__setitem__(0, 1.5), r"expected probabilities in \[0, 1\]"),
    ],
)
def test_wrong_configuration_is_named(
    saved: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    change_config(saved, change)
    with pytest.raises(MerEdgeError, match=message):
        load_checkpoint(saved)


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"\xff\xfe"])
def test_junk_configuration_is_one_clear_error(saved: Path, content: bytes) -> None:
    (saved / "config.json").write_bytes(content)
    with pytest.raises(MerEdgeError, match=r"config\.json: (not a checkpoint|schema version None)"):
        load_checkpoint(saved)


def test_wrong_weights_are_named(saved: Path) -> None:
    path = saved / "model.safetensors"
    tensors = load_file(path)
    vector = tensors.pop("absent_text")
    save_file(tensors, path)
    with pytest.raises(MerEdgeError, match="missing key absent_text"):
        load_checkpoint(saved)
    save_file({**tensors, "absent_text": vector * torch.nan}, path)
    with pytest.raises(MerEdgeError, match="absent_text has NaN"):
        load_checkpoint(saved)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(MerEdgeError, match="not a readable safetensors file"):
        load_checkpoint(saved)


def test_ruined_model_is_not_saved(tmp_path: Path) -> None:
    model = tiny_model()
    with torch.no_grad():
        model.absent_text[0] = torch.inf
    with pytest.raises(MerEdgeError, match="absent_text has NaN or infinite"):
        save_checkpoint(tmp_path / "run", model, "{}", [0.5] * 6)
    assert list(tmp_path.iterdir()) == []


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(MerEdgeError, match="is no directory"):
        load_checkpoint(tmp_path / "nowhere")


def test_sizes_of_every_preset_survive_json(tmp_path: Path) -> None:
    """The numbers that come back are the numbers that went in, tuples and floats included."""
    config = replace(
        TINY,
        text=replace(TINY.text, layer_norm_eps=1e-7),
        audio=replace(TINY.audio, level_dbfs=-20.5),
        dropout=0.25,
    )
    save_checkpoint(tmp_path / "run", tiny_model(config), "{}", [0.5] * 6)
    assert load_checkpoint(tmp_path / "run").model.config == config


def test_a_run_holds_its_best_checkpoint(tmp_path: Path) -> None:
    model = tiny_model(with_variant(TINY, "audio"))
    save_checkpoint(tmp_path / "run" / "best", model, "{}", [0.5] * 6)
    found = load_checkpoint(tmp_path / "run")
    assert found.tokenizer_path == tmp_path / "run" / "best" / "tokenizer.json"
    assert found.model.config == model.config
    assert set(found.model.state_dict()) == set(model.state_dict())
    direct = load_checkpoint(tmp_path / "run" / "best")
    assert torch.equal(direct.model.fusion.attention_vector, model.fusion.attention_vector)


def test_a_configuration_from_before_levelling_takes_sound_as_it_is(saved: Path) -> None:
    path = saved / "config.json"
    content = json.loads(path.read_text())
    del content["model"]["audio"]["level_dbfs"]
    path.write_text(json.dumps(content))
    model = load_checkpoint(saved).model
    assert model.config.audio.level_dbfs is None
    assert model.vggish is not None
    sound = 0.01 * torch.randn(1, 15600)
    assert torch.equal(model.vggish.logmel(sound), LogMel()(sound))


def test_a_configuration_from_before_the_variants_is_the_full_model(saved: Path) -> None:
    path = saved / "config.json"
    content = json.loads(path.read_text())
    del content["model"]["modalities"], content["model"]["cross_modal"]
    path.write_text(json.dumps(content))
    config = load_checkpoint(saved).model.config
    assert config.modalities == ("audio", "visual", "text")
    assert config.cross_modal == "mbt"


def test_a_checkpoint_from_before_exclusive_labels_has_independent_ones(saved: Path) -> None:
    def older(config: dict[str, Any]) -> None:
        del config["model"]["task"], config["temperatures"], config["min_confidence"]

    change_config(saved, older)
    checkpoint = load_checkpoint(saved)
    assert checkpoint.model.config.task == "multilabel"
    assert checkpoint.temperatures == Temperatures(1.0, 1.0, 1.0, 1.0)
    assert checkpoint.min_confidence is None
    assert checkpoint.rule.thresholds == tuple(THRESHOLDS)


def test_what_has_a_say_is_part_of_it(saved: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(saved)
    assert checkpoint.evidence is None
    rule = Evidence(voice=True, min_face_px=16.0, min_face_sharpness=0.1)
    tokenizer = checkpoint.tokenizer_path.read_text(encoding="utf-8")
    path = tmp_path / "again"
    save_checkpoint(path, checkpoint.model, tokenizer, checkpoint.thresholds, evidence=rule)
    assert load_checkpoint(path).evidence == rule
    calibrate_checkpoint(path, Temperatures(fused=2.0))
    assert load_checkpoint(path).evidence == rule


def test_exclusive_labels_have_no_thresholds(tmp_path: Path) -> None:
    model = tiny_model(labels=LABELS, task="multiclass")
    with pytest.raises(MerEdgeError, match="4 thresholds of exclusive labels; expected none"):
        save_checkpoint(tmp_path / "run", model, "{}", THRESHOLDS)
    save_checkpoint(tmp_path / "run", model, "{}", [])
    checkpoint = load_checkpoint(tmp_path / "run")
    assert checkpoint.model.config.task == checkpoint.rule.task == "multiclass"


def test_calibration_is_written_beside_the_weights(tmp_path: Path) -> None:
    run, temperatures = tmp_path / "run", Temperatures(2.0, 3.0, 0.5, 1.5)
    save_checkpoint(run / "best", tiny_model(labels=LABELS, task="multiclass"), "{}", [])
    weights = (run / "best/model.safetensors").read_bytes()
    calibrate_checkpoint(run, temperatures, 0.45)
    checkpoint = load_checkpoint(run)
    assert checkpoint.temperatures == temperatures
    assert checkpoint.rule.temperature == 1.5
    assert checkpoint.min_confidence == 0.45
    assert (run / "best/model.safetensors").read_bytes() == weights
    with pytest.raises(MerEdgeError, match="min_confidence is 2"):
        calibrate_checkpoint(run, temperatures, 2.0)
    assert load_checkpoint(run).min_confidence == 0.45


def test_a_temperature_takes_the_thresholds_of_independent_labels_along(saved: Path) -> None:
    logits = torch.randn(200, 4, generator=torch.Generator().manual_seed(0)).numpy()
    before = load_checkpoint(saved).rule
    calibrate_checkpoint(saved, Temperatures(fused=2.0))
    calibrate_checkpoint(saved, Temperatures(fused=3.0))
    after = load_checkpoint(saved).rule
    assert after.thresholds[0] == pytest.approx(0.5)
    assert after.thresholds[3] == pytest.approx(1 / (1 + 19 ** (1 / 3)))  # 0.05 has odds of 1 : 19
    decided = after.decide(after.probabilities(logits))
    assert (decided == before.decide(probabilities_of(logits))).all()
    assert 0.2 < decided.mean() < 0.8


def test_a_configuration_from_before_the_pool_does_not_pool(saved: Path) -> None:
    path = saved / "config.json"
    content = json.loads(path.read_text())
    assert content["model"]["visual"].pop("pool") == 1
    path.write_text(json.dumps(content))
    assert load_checkpoint(saved).model.config.visual.pool == 1
