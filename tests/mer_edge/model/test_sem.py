"""The SEM against the paper's formula, written out literally."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mer_edge.model.sem import SemanticEnhancement, TextGuide

CHANNELS, TEXT_SIZE, SEGMENTS = 12, 10, 3


def literal(sem: SemanticEnhancement, feature_map: Tensor, text: Tensor, over: str) -> Tensor:
    """Real 1x1 convolutions, one key, the softmax over the ``positions`` or over the ``key``."""
    count, channels, height, width = feature_map.shape

    def convolution(layer: torch.nn.Linear, x: Tensor) -> Tensor:
        return F.conv2d(x, layer.weight[:, :, None, None], layer.bias)

    query = convolution(sem.conv_q, feature_map).flatten(2).transpose(1, 2)  # (S, HW, C)
    key = convolution(sem.conv_k, text[:, :, None, None]).flatten(2).transpose(1, 2)  # (S, 1, C)
    value = convolution(sem.conv_v, text[:, :, None, None]).flatten(2).transpose(1, 2)
    scores = query @ key.transpose(1, 2) / math.sqrt(channels)  # (S, HW, 1)
    weights = torch.softmax(scores, dim=1 if over == "positions" else 2)
    enriched = (weights @ value).transpose(1, 2).reshape(count, channels, height, width)
    total = feature_map + convolution(sem.conv_o, enriched)
    normed = F.layer_norm(total.permute(0, 2, 3, 1), (channels,), sem.norm.weight, sem.norm.bias)
    return F.relu(normed.permute(0, 3, 1, 2))


@pytest.fixture
def inputs() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(SEGMENTS, CHANNELS, 5, 4), 3 * torch.randn(SEGMENTS, TEXT_SIZE)


@pytest.mark.parametrize(("form", "over"), [("spatial", "positions"), ("key", "key")])
def test_equals_the_literal_formula(inputs: tuple[Tensor, Tensor], form: str, over: str) -> None:
    feature_map, text = inputs
    sem = SemanticEnhancement(CHANNELS, TEXT_SIZE, form)
    ours = sem(feature_map, TextGuide(text))
    assert ours.shape == feature_map.shape
    assert float((ours - literal(sem, feature_map, text, over)).abs().max().detach()) <= 1e-5


def test_key_adds_one_vector_everywhere(inputs: tuple[Tensor, Tensor]) -> None:
    feature_map, text = inputs
    sem = SemanticEnhancement(CHANNELS, TEXT_SIZE, "key")
    added = sem.conv_o(sem.conv_v(text))[:, :, None, None]
    expected = F.relu(sem.norm((feature_map + added).permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
    assert float((sem(feature_map, TextGuide(text)) - expected).abs().max().detach()) <= 1e-6


def gradient_norms(sem: SemanticEnhancement, feature_map: Tensor, text: TextGuide) -> list[float]:
    sem(feature_map, text).square().sum().backward()
    gradients = (sem.conv_q.weight.grad, sem.conv_k.weight.grad)
    return [0.0 if gradient is None else float(gradient.norm()) for gradient in gradients]


def test_only_the_literal_form_starves_queries_and_keys(inputs: tuple[Tensor, Tensor]) -> None:
    feature_map, text = inputs
    guides = {
        "key": TextGuide(text),
        "spatial": TextGuide(text),
        "tokens": TextGuide(
            None, torch.randn(SEGMENTS, 4, TEXT_SIZE), torch.ones(SEGMENTS, 4, dtype=torch.bool)
        ),
    }
    norms = {
        form: gradient_norms(SemanticEnhancement(CHANNELS, TEXT_SIZE, form), feature_map, guide)
        for form, guide in guides.items()
    }
    assert norms["key"] == [0.0, 0.0]
    assert min(norms["spatial"]) > 1e-3
    assert min(norms["tokens"]) > 1e-3


def test_spatial_looks_where_the_query_matches_the_key() -> None:
    """With identity projections the position most like the text gets the update."""
    sem = SemanticEnhancement(4, 4, "spatial")
    with torch.no_grad():
        for layer in (sem.conv_q, sem.conv_k, sem.conv_v, sem.conv_o):
            layer.weight.copy_(torch.eye(4))
            layer.bias.zero_()
    text = torch.tensor([[0.0, 30.0, 0.0, 0.0]])
    feature_map = torch.zeros(1, 4, 2, 2)
    feature_map[0, :, 1, 0] = torch.tensor([0.0, 2.0, 0.0, 0.0])
    feature_map[0, :, 0, 0] = torch.tensor([2.0, 0.0, 0.0, 0.0])
    enriched = sem(feature_map, TextGuide(text))[0]
    assert float(enriched[1, 1, 0]) == pytest.approx(math.sqrt(3), abs=1e-2)  # LN of (0, 32, 0, 0)
    assert float(enriched[1, 0, 0]) == 0.0
    assert float(enriched[0, 0, 0]) == pytest.approx(math.sqrt(3), abs=1e-2)


def test_tokens_equal_scaled_dot_product_attention() -> None:
    torch.manual_seed(1)
    sem = SemanticEnhancement(CHANNELS, TEXT_SIZE, "tokens")
    feature_map, tokens = torch.randn(2, CHANNELS, 3, 4), torch.randn(2, 6, TEXT_SIZE)
    mask = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0]], dtype=torch.bool)
    query = sem.conv_q(feature_map.flatten(2).transpose(1, 2))
    mixed = F.scaled_dot_product_attention(
        query, sem.conv_k(tokens), sem.conv_v(tokens), attn_mask=mask[:, None, :]
    )
    update = sem.conv_o(mixed).transpose(1, 2).reshape(2, CHANNELS, 3, 4)
    expected = F.relu(sem.norm((feature_map + update).permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
    ours = sem(feature_map, TextGuide(None, tokens, mask))
    assert float((ours - expected).abs().max().detach()) <= 1e-5


def test_tokens_do_not_look_at_masked_tokens() -> None:
    sem = SemanticEnhancement(CHANNELS, TEXT_SIZE, "tokens")
    feature_map, tokens = torch.randn(2, CHANNELS, 3, 4), torch.randn(2, 6, TEXT_SIZE)
    mask = torch.tensor([[1, 1, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0]], dtype=torch.bool)
    other = torch.where(mask.unsqueeze(2), tokens, torch.full_like(tokens, 77.0))
    first = sem(feature_map, TextGuide(None, tokens, mask))
    assert torch.equal(first, sem(feature_map, TextGuide(None, other, mask)))
    shown = sem(feature_map, TextGuide(None, other, torch.ones_like(mask)))
    assert float((shown - first).abs().max().detach()) > 0.1
