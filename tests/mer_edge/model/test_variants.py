"""Every variant builds only what it uses, learns, and does not see what is absent."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_edge.errors import MerEdgeError
from mer_edge.model.config import PAPER, VARIANTS, ModelConfig, variant_name, with_variant
from mer_edge.model.mer import MerModel
from tests.mer_edge.model.batches import random_batch, tiny_model
from tests.variants import CELLS as SHARED
from tests.variants import SMALL

PARTS = {
    "mer": {"text_encoder", "vggish", "resnet", "fusion", "absent_text"},
    "mer-sem-mbt-no-text": {"text_encoder", "vggish", "resnet", "fusion", "absent_text"},
    "audio": {"vggish", "fusion"},
    "audio-sem": {"text_encoder", "vggish", "fusion", "absent_text"},
    "visual": {"resnet", "fusion"},
    "visual-sem": {"text_encoder", "resnet", "fusion", "absent_text"},
    "text": {"text_encoder", "fusion", "absent_text"},
}
CELLS = SHARED | {
    "key": replace(SMALL, sem_attention="key"),
    "tokens": replace(SMALL, sem_attention="tokens"),
    "audio and text": replace(
        SMALL, modalities=("audio", "text"), cross_modal="none", visual_sem_positions=()
    ),
}
each_cell = pytest.mark.parametrize("config", CELLS.values(), ids=CELLS)


@pytest.mark.parametrize("name", PARTS)
def test_only_what_is_used_is_built(name: str) -> None:
    keys = tiny_model(with_variant(SMALL, name)).state_dict()
    assert {key.split(".")[0] for key in keys} == PARTS[name]
    decisions = {key.split(".")[1] for key in keys if "_decision" in key}
    assert decisions == {f"{m}_decision" for m in with_variant(SMALL, name).modalities}


def test_the_papers_names() -> None:
    names = {name: variant_name(with_variant(PAPER, name)) for name in VARIANTS}
    assert names == {
        "mer": "MER",
        "mer-sem": "MER-SEM",
        "mer-mbt": "MER-MBT",
        "mer-sem-mbt": "MER-SEM-MBT",
        "mer-sem-mbt-no-text": "MER-SEM-MBT without text decision",
        "audio": "SER",
        "audio-sem": "SER-SEM",
        "visual": "FER",
        "visual-sem": "FER-SEM",
        "text": "text",
    }
    assert variant_name(CELLS["joint"]) == "MER-SEM-JointAtt"
    assert variant_name(replace(CELLS["mer-mbt"], cross_modal="bi_cross")) == "MER-Bi-CrossAtt"
    assert variant_name(CELLS["audio and text"]) == "MER-SEM of audio and text"
    assert variant_name(replace(PAPER, visual_sem_positions=())) == "MER-SEM-MBT"
    assert with_variant(PAPER, "mer-sem-mbt") == PAPER


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modalities": ()}, "modalities is"),
        ({"modalities": ("visual", "audio")}, "in this order"),
        ({"modalities": ("audio", "smell")}, "some of"),
        ({"modalities": ("audio", "text")}, r"visual_sem_positions is \(3, 5\); expected \(\)"),
        (
            {"modalities": ("audio",), "visual_sem_positions": ()},
            "cross_modal is 'mbt'; expected 'none' without both audio and visual",
        ),
        ({"cross_modal": "umt"}, "cross_modal is 'umt'; expected one of"),
    ],
)
def test_variants_that_make_no_network(changes: dict[str, object], message: str) -> None:
    with pytest.raises(MerEdgeError, match=message):
        replace(SMALL, **changes)


def test_an_unknown_variant_is_one_clear_error() -> None:
    with pytest.raises(MerEdgeError, match="no variant 'mbt-mer'; expected one of mer, mer-sem"):
        with_variant(SMALL, "mbt-mer")


def loss_of(model: MerModel, batch: object) -> torch.Tensor:
    return model(batch).logits.square().sum()


@each_cell
def test_forward_and_backward_with_and_without_each_modality(config: ModelConfig) -> None:
    """Clip by clip another modality is absent, with NaN sound and garbage in its place."""
    model = tiny_model(config)
    batch = random_batch(clips=4, segments=2)
    batch.audio_mask[0], batch.visual_mask[1], batch.text_mask[2] = False, False, False
    batch.audio_mask[1, 1] = False
    clean = model(batch)
    assert clean.logits.shape == (4, 6)
    assert clean.decisions.shape == (4, 3, 6)
    present = model.present(batch)
    assert torch.equal(clean.weights > 0, present)
    assert torch.equal(clean.weights != 0, present)
    totals = clean.weights.sum(1)[present.any(1)]
    assert torch.allclose(totals, torch.ones_like(totals))
    waveform, faces, ids = batch.waveform.clone(), batch.faces.clone(), batch.input_ids.clone()
    waveform[0], waveform[1, 1], faces[1], ids[2] = torch.nan, torch.nan, 255, 9
    dirty = replace(batch, waveform=waveform, faces=faces, input_ids=ids)
    assert torch.equal(model(dirty).logits, clean.logits)
    loss_of(model.train(), dirty).backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    assert all(g is None or torch.isfinite(g).all() for g in gradients.values())
    idle = {n for n, g in gradients.items() if g is None or not g.abs().sum() > 0}
    # Conv_q's bias (and with one key all of Conv_q and Conv_k) cannot learn; a key's bias in an
    # attention only by rounding. Alone, a modality has the weight 1 whatever the attention says.
    allowed = [".conv_q.bias", ".key.bias", *([".conv_q.", ".conv_k."] * (CELLS["key"] == config))]
    allowed += ["attention_matrix", "attention_vector"] * (len(config.modalities) == 1)
    # Only a SEM sees the vector in the place of the text: a decision without text weighs nothing.
    allowed += ["absent_text"] * (not config.has_sem)
    assert not [name for name in idle if not any(part in name for part in allowed)]


def test_unused_modalities_are_zero_and_without_influence() -> None:
    model = tiny_model(CELLS["audio"])
    batch = random_batch(clips=2, segments=2)
    fused = model(batch)
    assert not fused.decisions[:, 1:].any()
    assert fused.weights.tolist() == [[1.0, 0.0, 0.0]] * 2
    other = replace(batch, faces=255 - batch.faces, input_ids=batch.input_ids.flip(1))
    assert torch.equal(model(other).logits, fused.logits)
    assert torch.equal(fused.logits, fused.decisions[:, 0])


def test_text_that_only_guides_moves_the_others_decisions() -> None:
    model = tiny_model(CELLS["mer-sem-mbt-no-text"])
    batch = random_batch(clips=1, segments=1)
    fused, other = model(batch), model(replace(batch, input_ids=batch.input_ids.flip(1)))
    assert float((fused.decisions - other.decisions).abs().amax(2)[0, :2].min().detach()) > 1e-7
    assert fused.weights[0, 2] == 0
    alone = replace(
        batch, audio_mask=batch.audio_mask & False, visual_mask=batch.visual_mask & False
    )
    assert model(alone).weights.tolist() == [[0.0, 0.0, 0.0]]
    assert model(alone).logits.tolist() == [[0.0] * 6]


@settings(max_examples=12, deadline=None)
@given(
    audio=st.sets(st.integers(1, 4)),
    visual=st.sets(st.integers(1, 5)),
    form=st.sampled_from(["spatial", "key", "tokens"]),
)
def test_sems_at_any_subset_of_positions(audio: set[int], visual: set[int], form: str) -> None:
    config = replace(
        SMALL,
        audio_sem_positions=tuple(sorted(audio)),
        visual_sem_positions=tuple(sorted(visual)),
        sem_attention=form,
    )
    model = tiny_model(config)
    assert {int(key) for key in model.vggish.sems} == audio
    assert {int(key) for key in model.resnet.sems} == visual
    assert config.uses_text
    batch = random_batch(clips=2, segments=1)
    batch.text_mask[1] = False
    fused = model(batch)
    assert all(torch.isfinite(tensor).all() for tensor in fused)
    fused.logits.square().sum().backward()
    for encoder in (model.vggish, model.resnet):
        for sem in encoder.sems.values():
            assert float(sem.conv_v.weight.grad.abs().sum()) > 0


@each_cell
def test_bfloat16_autocast_trains_and_stays_near(config: ModelConfig) -> None:
    model = tiny_model(config)
    batch = random_batch(clips=2, segments=2)
    batch.audio_mask[0], batch.visual_mask[1, 1], batch.text_mask[1] = False, False, False
    exact = model(batch)
    with torch.autocast("cpu", torch.bfloat16):
        fused = model(batch)
        loss = loss_of(model.train(), batch)
    loss.backward()
    assert {tensor.dtype for tensor in fused} == {torch.float32}
    assert float((fused.logits - exact.logits).abs().max().detach()) < 0.05
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(torch.isfinite(g).all() for g in gradients)


def test_features_are_those_of_the_stages_there_are() -> None:
    batch = random_batch(clips=2, segments=2)
    batch.visual_mask[1, 1] = False
    stages = {
        "mer-sem-mbt": {"before", "sem", "mbt"},
        "mer-mbt": {"before", "mbt"},
        "mer": {"before"},
    }
    for name, expected in stages.items():
        model = tiny_model(CELLS[name]).train()
        features = model.features(batch)
        assert set(features) == {f"{m}_{s}" for m in ("audio", "visual") for s in expected}
        assert model.training
        shapes = {key: tuple(tensor.shape) for key, tensor in features.items()}
        assert shapes == dict.fromkeys(features, (2, 2, 8))
        assert not features["visual_before"][1, 1].any()
        assert not any(tensor.requires_grad for tensor in features.values())
    model = tiny_model(CELLS["audio-sem"])
    features = model.features(batch)
    assert set(features) == {"audio_before", "audio_sem"}
    text = model.encode_text(batch.input_ids, batch.attention_mask).vector
    with_text = model.encode_audio(batch.waveform[0], text[:1].expand(2, -1))
    assert torch.allclose(features["audio_sem"][0], with_text, atol=1e-6)
    assert not torch.allclose(features["audio_before"], features["audio_sem"], atol=1e-3)
