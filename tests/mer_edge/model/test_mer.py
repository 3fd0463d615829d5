"""The whole model: subsets of modalities, padding, freezing, learning."""

from dataclasses import replace
from itertools import product

import pytest
import torch
import torch.nn.functional as F

from mer_edge.model.config import TINY
from mer_edge.model.mer import MerModel, ModelBatch
from mer_edge.model.sem import TextGuide
from tests.mer_edge.model.batches import random_batch, tiny_model

FORMS = ("spatial", "key", "tokens")
SUBSETS = [subset for subset in product((False, True), repeat=3) if any(subset)]


def with_subset(batch: ModelBatch, subset: tuple[bool, bool, bool]) -> ModelBatch:
    audio, visual, text = subset
    return replace(
        batch,
        audio_mask=batch.audio_mask & audio,
        visual_mask=batch.visual_mask & visual,
        text_mask=batch.text_mask & text,
    )


@pytest.mark.parametrize("form", FORMS)
def test_every_subset_is_finite_and_absent_weights_are_zero(form: str) -> None:
    model = tiny_model(sem_attention=form)
    batch = random_batch(clips=1, segments=2)
    for subset in SUBSETS:
        fused = model(with_subset(batch, subset))
        assert fused.logits.shape == (1, 6)
        assert fused.decisions.shape == (1, 3, 6)
        assert all(torch.isfinite(tensor).all() for tensor in fused)
        assert [float(w) > 0 for w in fused.weights[0]] == list(subset)
        assert [float(w) != 0 for w in fused.weights[0]] == list(subset)


def test_absent_input_is_not_looked_at() -> None:
    """Garbage where the masks say that there is nothing: NaN sound, white faces, any token."""
    model = tiny_model()
    batch = random_batch(clips=2, segments=3)
    batch.audio_mask[0, 1] = False
    batch.visual_mask[1] = False
    batch.text_mask[0] = False
    expected = model(batch)
    waveform, faces, ids = batch.waveform.clone(), batch.faces.clone(), batch.input_ids.clone()
    waveform[0, 1], faces[1], ids[0] = torch.nan, 255, 7
    found = model(replace(batch, waveform=waveform, faces=faces, input_ids=ids))
    assert torch.equal(found.logits, expected.logits)


def test_absent_text_is_the_learned_vector() -> None:
    model = tiny_model()
    batch = with_subset(random_batch(clips=1, segments=2), (True, True, False))
    guide = TextGuide(model.absent_text.expand(2, -1))
    audio = model.encode_audio(batch.waveform[0], guide).unsqueeze(0)
    visual = model.encode_visual(batch.faces[0], guide).unsqueeze(0)
    masks = (batch.audio_mask, batch.visual_mask, batch.text_mask)
    by_hand = model.fuse(audio, visual, model.absent_text.unsqueeze(0), *masks)
    assert float((model(batch).logits - by_hand.logits).abs().max().detach()) <= 1e-6


@pytest.mark.parametrize("form", FORMS)
def test_a_clip_decides_alone_as_in_a_padded_batch(form: str) -> None:
    model = tiny_model(sem_attention=form)
    batch = random_batch(clips=3, segments=5, tokens=9)
    lengths, tokens = (2, 5, 3), (9, 4, 6)
    for clip, (count, length) in enumerate(zip(lengths, tokens, strict=True)):
        batch.audio_mask[clip, count:] = False
        batch.visual_mask[clip, count:] = False
        batch.attention_mask[clip, length:] = 0
    batch.visual_mask[2, 1] = False
    batch.text_mask[1] = False
    together = model(batch)
    for clip, (count, length) in enumerate(zip(lengths, tokens, strict=True)):
        alone = model(
            ModelBatch(
                batch.input_ids[clip : clip + 1, :length],
                batch.attention_mask[clip : clip + 1, :length],
                batch.waveform[clip : clip + 1, :count],
                batch.faces[clip : clip + 1, :count],
                batch.audio_mask[clip : clip + 1, :count],
                batch.visual_mask[clip : clip + 1, :count],
                batch.text_mask[clip : clip + 1],
            )
        )
        for x, y in zip(alone, together, strict=True):
            assert float((x[0] - y[clip]).abs().max().detach()) <= 1e-5


def test_text_reaches_sound_and_faces() -> None:
    model = tiny_model()
    batch = random_batch(clips=1, segments=1)
    other = replace(batch, input_ids=batch.input_ids.flip(1))
    change = (model(batch).decisions - model(other).decisions).abs().amax(2)[0]
    assert bool((change > 1e-6).all())


def test_batch_norm_sees_only_real_faces() -> None:
    """Padding the batch with absent faces leaves the running statistics as they would be."""
    statistics = []
    for segments in (2, 4):
        model = tiny_model().train()
        batch = random_batch(clips=1, segments=4, seed=3)
        batch.visual_mask[:, 2:] = False
        batch.audio_mask[:, 2:] = False
        cut = replace(
            batch,
            waveform=batch.waveform[:, :segments],
            faces=batch.faces[:, :segments],
            audio_mask=batch.audio_mask[:, :segments],
            visual_mask=batch.visual_mask[:, :segments],
        )
        model(cut)
        statistics.append(model.resnet.backbone.bn1.running_mean.clone())
    assert torch.equal(*statistics)
    assert float(statistics[0].abs().max()) > 0


def loss_of(model: MerModel, batch: ModelBatch) -> torch.Tensor:
    return model(batch).logits.square().sum()


def test_every_parameter_learns() -> None:
    """With sound, faces and text present and absent, each parameter has a gradient.

    All but Conv_q's bias, which the softmax over positions cannot see.
    """
    model = tiny_model()
    batch = random_batch(clips=4, segments=2)
    batch.audio_mask[0] = False
    batch.visual_mask[1] = False
    batch.text_mask[2] = False
    loss_of(model, batch).backward()
    idle = {n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    sems = {f"vggish.sems.{i}" for i in (2, 4)} | {f"resnet.sems.{i}" for i in (3, 5)}
    # A key's bias adds the same to every score of a row: its gradient is rounding, or 0.
    idle = {name for name in idle if not name.endswith(".key.bias")}
    assert idle == {f"{sem}.conv_q.bias" for sem in sems}


def test_freezing_as_the_paper_does() -> None:
    model = tiny_model()
    model.freeze(audio_groups=2, visual_groups=3)
    model.train()
    named = dict(model.named_parameters())
    frozen = {name.rsplit(".", 1)[0] for name, p in named.items() if not p.requires_grad}
    assert {n for n in frozen if n.startswith("vggish")} == {
        "vggish.backbone.features.0",
        "vggish.backbone.features.3",
    }
    prefixes = tuple(f"resnet.backbone.{part}" for part in ("conv1", "bn1", "layer1", "layer2"))
    assert all(n.startswith(prefixes) for n in frozen if n.startswith("resnet"))
    assert all(n.startswith(("vggish", "resnet")) for n in frozen)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in named.values() if p.requires_grad], lr=0.1)
    loss_of(model, random_batch()).backward()
    optimizer.step()
    changed = {n for n, tensor in model.state_dict().items() if not torch.equal(tensor, before[n])}
    still = ("vggish.backbone.features.0", "vggish.backbone.features.3", *prefixes)
    assert not [name for name in changed if name.startswith(still)]  # BatchNorm statistics too
    assert "resnet.backbone.layer3.0.bn1.running_mean" in changed
    assert "vggish.backbone.features.6.weight" in changed
    assert "vggish.sems.2.conv_v.weight" in changed


def test_unfreezing_gives_everything_back() -> None:
    model = tiny_model().train()
    model.freeze(4, 5)
    assert not model.resnet.backbone.layer4.training
    backbones = ("vggish.backbone.", "resnet.backbone.")
    learning = {n for n, p in model.named_parameters() if p.requires_grad}
    assert {n for n in learning if n.startswith(backbones)} == {
        f"vggish.backbone.embeddings.{i}.{part}" for i in (0, 2, 4) for part in ("weight", "bias")
    }
    model.freeze(0, 0)
    assert model.resnet.backbone.layer4.training
    assert all(p.requires_grad for p in model.parameters())
    with pytest.raises(ValueError, match="audio_groups is 5; expected 0 to 4"):
        model.freeze(5, 0)


def test_batch_moves_as_a_whole() -> None:
    moved = random_batch().to("meta")
    assert {tensor.device.type for tensor in vars(moved).values()} == {"meta"}
    assert moved.faces.dtype == torch.uint8


def test_learns_a_small_random_batch_by_heart() -> None:
    model = tiny_model(TINY, dropout=0.0).train()
    batch = random_batch(clips=4, segments=1)
    targets = (torch.rand(4, 6, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        loss = F.binary_cross_entropy_with_logits(model(batch).logits, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] > 0.6
    assert losses[-1] < 0.05
