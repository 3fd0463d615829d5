"""The cross-modal encoders beside the bottleneck transformer, step by step and behind masks."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from mer_edge.model.attention import MultiHeadAttention, sine_positions
from mer_edge.model.config import TINY
from mer_edge.model.cross_modal import (
    BiCrossTransformer,
    JointTransformer,
    Projection,
    make_cross_modal,
)

KINDS = ("mbt", "joint", "bi_cross", "none")


def made(kind: str) -> nn.Module:
    """Norms and biases away from 1 and 0, so that a forgotten one shows."""
    torch.manual_seed(3)
    module = make_cross_modal(replace(TINY, cross_modal=kind))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module.eval()


def inputs(clips: int = 2, segments: int = 4) -> tuple[Tensor, Tensor]:
    audio = torch.randn(clips, segments, TINY.audio.embedding_size)
    return audio, torch.randn(clips, segments, TINY.visual.embedding_size)


def torchs(
    ours: MultiHeadAttention, query: Tensor, key: Tensor, value: Tensor, mask: Tensor
) -> Tensor:
    """PyTorch's attention with the same weights."""
    theirs = nn.MultiheadAttention(ours.query.in_features, ours.heads, batch_first=True).eval()
    parts = (ours.query, ours.key, ours.value)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        theirs.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
        theirs.out_proj.load_state_dict(ours.output.state_dict())
    attended: Tensor = theirs(query, key, value, key_padding_mask=~mask)[0]
    return attended


def test_joint_is_one_layer_over_both_in_a_row() -> None:
    module = made("joint")
    assert isinstance(module, JointTransformer)
    audio, visual = inputs()
    audio_mask, visual_mask = torch.rand(2, 4) > 0.4, torch.rand(2, 4) > 0.4
    audio_mask[:, 0] = visual_mask[:, 0] = True
    x = torch.cat((module.audio_project(audio), module.visual_project(visual)), 1)
    positions = torch.cat([sine_positions(x[:, :4])] * 2)
    normed = module.norm(x)
    mask = torch.cat((audio_mask, visual_mask), 1)
    x = x + torchs(module.attend, normed + positions, normed + positions, normed, mask)
    x = x + module.feed_forward(x)
    found = torch.cat(module(audio, visual, audio_mask, visual_mask), 1)
    assert float((found - x).abs().max().detach()) <= 1e-5


def test_bi_cross_attends_from_each_to_the_other() -> None:
    module = made("bi_cross")
    assert isinstance(module, BiCrossTransformer)
    sequences = inputs()
    masks = (torch.rand(2, 4) > 0.4, torch.rand(2, 4) > 0.4)
    for mask in masks:
        mask[:, 0] = True
    layers = (module.audio, module.visual)
    x = [part.project(s) for part, s in zip(layers, sequences, strict=True)]
    normed = [part.norm(projected) for part, projected in zip(layers, x, strict=True)]
    position = sine_positions(x[0])
    for index, found in enumerate(module(*sequences, *masks)):
        other, part = 1 - index, layers[index]
        y = x[index] + torchs(
            part.attend,
            normed[index] + position,
            normed[other] + position,
            normed[other],
            masks[other],
        )
        assert float((found - y - part.feed_forward(y)).abs().max().detach()) <= 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_sound_and_faces_meet_only_where_unmasked(kind: str) -> None:
    module = made(kind)
    audio, visual = inputs(clips=1)
    seen = torch.ones(1, 4, dtype=torch.bool)
    hidden = torch.tensor([[True, True, False, True]])
    changed = visual.clone()
    changed[:, 2] += 5.0
    change = (module(audio, visual, seen, seen)[0] - module(audio, changed, seen, seen)[0]).abs()
    assert (float(change.max().detach()) > 1e-3) is (kind != "none")
    masked = module(audio, visual, seen, hidden)[0]
    assert torch.equal(masked, module(audio, changed, seen, hidden)[0])
    assert [tuple(x.shape) for x in module(audio, visual, seen, hidden)] == [(1, 4, 24)] * 2


@pytest.mark.parametrize("kind", KINDS)
def test_what_absent_segments_show_reaches_no_other(kind: str) -> None:
    """Of the sound as well: the masked places may differ, the others may not."""
    module = made(kind)
    audio, visual = inputs(clips=1)
    mask = torch.tensor([[True, False, True, True]])
    other_audio, other_visual = audio.clone(), visual.clone()
    other_audio[:, 1] -= 3.0
    other_visual[:, 1] += 3.0
    first = module(audio, visual, mask, mask)
    second = module(other_audio, other_visual, mask, mask)
    for x, y in zip(first, second, strict=True):
        assert torch.equal(x[mask], y[mask])


def test_none_is_a_projection_and_nothing_else() -> None:
    module = made("none")
    assert isinstance(module, Projection)
    assert set(module.state_dict()) == {
        f"{m}.{part}" for m in ("audio", "visual") for part in ("weight", "bias")
    }
    audio, visual = inputs()
    mask = torch.ones(2, 4, dtype=torch.bool)
    assert torch.equal(module(audio, visual, mask, mask)[0], module.audio(audio))
