"""The bottleneck transformer against PyTorch's own attention, step by step."""

import math

import pytest
import torch
from torch import Tensor, nn

from mer_edge.model.attention import MultiHeadAttention, sine_positions
from mer_edge.model.config import TINY
from mer_edge.model.mbt import BottleneckTransformer


def theirs(attention: MultiHeadAttention) -> nn.MultiheadAttention:
    """torch's module with the same weights."""
    size = attention.query.in_features
    module = nn.MultiheadAttention(size, attention.heads, batch_first=True).eval()
    parts = (attention.query, attention.key, attention.value)
    with torch.no_grad():
        module.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        module.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
        module.out_proj.load_state_dict(attention.output.state_dict())
    return module


def random_masks(clips: int, segments: int) -> tuple[Tensor, Tensor]:
    masks = torch.rand(2, clips, segments) > 0.4
    masks[:, :, 0] = True
    return masks[0], masks[1]


def perturbed(module: nn.Module) -> nn.Module:
    """Norms and biases away from 1 and 0, so that a forgotten one shows."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module.eval()


def test_attention_equals_torchs() -> None:
    torch.manual_seed(0)
    attention = perturbed(MultiHeadAttention(24, 4, 0.1))
    query, key, value = torch.randn(3, 5, 24), torch.randn(3, 7, 24), torch.randn(3, 7, 24)
    mask, _ = random_masks(3, 7)
    expected, _ = theirs(attention)(query, key, value, key_padding_mask=~mask)
    assert float((attention(query, key, value, mask) - expected).abs().max().detach()) <= 1e-5


def test_attention_without_any_key_is_finite() -> None:
    attention = MultiHeadAttention(24, 4, 0.0)
    x = torch.randn(2, 3, 24)
    assert torch.isfinite(attention(x, x, x, torch.zeros(2, 3, dtype=torch.bool))).all()


def test_positions_are_sines_and_cosines() -> None:
    table = sine_positions(torch.zeros(1, 50, 24))
    assert table.shape == (50, 24)
    for position, index in ((0, 0), (7, 3), (49, 11)):
        angle = position / 10_000 ** (2 * index / 24)
        assert float(table[position, 2 * index]) == pytest.approx(math.sin(angle), abs=1e-5)
        assert float(table[position, 2 * index + 1]) == pytest.approx(math.cos(angle), abs=1e-5)


def by_steps(
    mbt: BottleneckTransformer,
    audio: Tensor,
    visual: Tensor,
    audio_mask: Tensor,
    visual_mask: Tensor,
) -> list[Tensor]:
    """Compression, expansion and feed-forward as published, with torch's attention."""
    position = sine_positions(torch.zeros(1, audio.shape[1], mbt.size))
    z = mbt.bottleneck.unsqueeze(0).repeat(len(audio), 1, 1)
    query = mbt.bottleneck_norm(z)
    inputs, normed = [], []
    compressed = z
    for layers, x, mask in (
        (mbt.audio, audio, audio_mask),
        (mbt.visual, visual, visual_mask),
    ):
        inputs.append(layers.project(x))
        normed.append(layers.norm(inputs[-1]))
        found, _ = theirs(layers.compress)(
            query, normed[-1] + position, normed[-1], key_padding_mask=~mask
        )
        compressed = compressed + found
    hat = mbt.expansion_norm(compressed)
    outputs = []
    for layers, x, x_normed in zip((mbt.audio, mbt.visual), inputs, normed, strict=True):
        found, _ = theirs(layers.expand)(x_normed + position, hat, hat)
        x = x + found
        outputs.append(x + layers.feed_forward(x))
    return outputs


def test_layer_follows_the_published_steps() -> None:
    torch.manual_seed(1)
    mbt = perturbed(BottleneckTransformer(TINY))
    audio = torch.randn(3, 6, TINY.audio.embedding_size)
    visual = torch.randn(3, 6, TINY.visual.embedding_size)
    masks = random_masks(3, 6)
    ours = mbt(audio, visual, *masks)
    for found, expected in zip(ours, by_steps(mbt, audio, visual, *masks), strict=True):
        assert float((found - expected).abs().max().detach()) <= 1e-5


def test_modalities_meet_in_the_bottleneck_only_where_unmasked() -> None:
    torch.manual_seed(2)
    mbt = perturbed(BottleneckTransformer(TINY))
    audio = torch.randn(1, 4, TINY.audio.embedding_size)
    visual = torch.randn(1, 4, TINY.visual.embedding_size)
    seen = torch.ones(1, 4, dtype=torch.bool)
    hidden = torch.tensor([[True, True, False, True]])
    changed = visual.clone()
    changed[:, 2] += 5.0
    audio_out, _ = mbt(audio, visual, seen, seen)
    assert float((audio_out - mbt(audio, changed, seen, seen)[0]).abs().max().detach()) > 1e-3
    masked_out, _ = mbt(audio, visual, seen, hidden)
    assert torch.equal(masked_out, mbt(audio, changed, seen, hidden)[0])
