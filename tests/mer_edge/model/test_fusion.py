"""Attentive fusion: masked pooling, renormalised weights, nothing absent leaks in."""

from functools import cache
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mer_edge.model.config import TINY
from mer_edge.model.fusion import Fused, FusionHead, masked_mean

SUBSETS = [subset for subset in product((False, True), repeat=3) if any(subset)]
SEGMENTS = 4


@cache
def head() -> FusionHead:
    torch.manual_seed(0)
    return FusionHead(TINY).eval()


def features(clips: int, segments: int = SEGMENTS) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.randn(clips, segments, TINY.audio.embedding_size),
        torch.randn(clips, segments, TINY.visual.embedding_size),
        torch.randn(clips, TINY.text.hidden_size),
    )


def masks(subset: tuple[bool, bool, bool], clips: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    audio, visual, text = subset
    shape = (clips, SEGMENTS)
    return torch.full(shape, audio), torch.full(shape, visual), torch.full((clips,), text)


@pytest.mark.parametrize("subset", SUBSETS)
def test_absent_modalities_weigh_exactly_nothing(subset: tuple[bool, bool, bool]) -> None:
    fused = head()(*features(2), *masks(subset, 2))
    assert all(torch.isfinite(tensor).all() for tensor in fused)
    for index, present in enumerate(subset):
        assert bool((fused.weights[:, index] > 0).all()) is present
        assert present or bool((fused.weights[:, index] == 0).all())
    assert fused.weights.sum(1).tolist() == pytest.approx([1.0, 1.0], abs=1e-6)


@pytest.mark.parametrize("subset", SUBSETS)
def test_what_stands_in_absent_places_does_not_matter(subset: tuple[bool, bool, bool]) -> None:
    """NaN in every masked segment: neither the decision nor a gradient may see it."""
    module = head()
    clean = features(2)
    audio_mask, visual_mask, text_mask = masks(subset, 2)
    audio_mask[1, 2:] = False
    visual_mask[1, :2] = False
    dirty = [x.clone() for x in clean]
    dirty[0][~audio_mask] = torch.nan
    dirty[1][~visual_mask] = torch.nan
    expected = module(*clean, audio_mask, visual_mask, text_mask)
    found: Fused = module(*dirty, audio_mask, visual_mask, text_mask)
    assert torch.equal(found.logits, expected.logits)
    assert torch.equal(found.decisions, expected.decisions)
    module.zero_grad()
    found.logits.sum().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in module.parameters())


def test_nothing_at_all_is_finite() -> None:
    fused = head()(*features(1), *masks((False, False, False)))
    assert fused.weights.tolist() == [[0.0, 0.0, 0.0]]
    assert torch.equal(fused.logits, torch.zeros(1, len(TINY.labels)))


def test_weights_are_additive_attention() -> None:
    """softmax(w . tanh(W D)) over what is there, computed here one number at a time."""
    module = head()
    with torch.no_grad():
        fused = module(*features(1), *masks((True, False, True)))
        scores = []
        for decision in fused.decisions[0]:
            hidden = torch.tanh(decision @ module.attention_matrix)
            scores.append(float(hidden @ module.attention_vector))
    share = 1 / (1 + torch.exp(torch.tensor(scores[2] - scores[0])))
    assert fused.weights[0].tolist() == pytest.approx(
        [float(share), 0.0, 1 - float(share)], abs=1e-6
    )
    mixed = share * fused.decisions[0, 0] + (1 - share) * fused.decisions[0, 2]
    assert fused.logits[0].tolist() == pytest.approx(mixed.tolist(), abs=1e-6)


def test_decision_of_text_is_of_text_alone() -> None:
    module = head()
    audio, visual, text = features(1)
    first = module(audio, visual, text, *masks((True, True, True)))
    second = module(audio + 1, visual - 1, text, *masks((True, True, True)))
    assert torch.equal(first.decisions[:, 2], second.decisions[:, 2])
    assert float((first.decisions[:, :2] - second.decisions[:, :2]).abs().min()) > 0


@settings(max_examples=25, deadline=None)
@given(
    audio=st.lists(st.booleans(), min_size=1, max_size=9),
    data=st.data(),
    padding=st.integers(1, 6),
)
def test_padding_changes_nothing(audio: list[bool], data: st.DataObject, padding: int) -> None:
    count = len(audio)
    visual = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    text_mask = torch.tensor([data.draw(st.booleans()) or not any(audio + visual)])
    module = head()
    a, v, t = features(1, count)
    alone = module(a, v, t, torch.tensor([audio]), torch.tensor([visual]), text_mask)
    none = torch.zeros(1, padding, dtype=torch.bool)
    padded = module(
        torch.cat((a, torch.randn(1, padding, a.shape[2])), 1),
        torch.cat((v, torch.randn(1, padding, v.shape[2])), 1),
        t,
        torch.cat((torch.tensor([audio]), none), 1),
        torch.cat((torch.tensor([visual]), none), 1),
        text_mask,
    )
    for x, y in zip(alone, padded, strict=True):
        assert float((x - y).abs().max().detach()) <= 1e-5


def test_masked_mean_is_the_mean_of_the_true() -> None:
    sequence = torch.tensor([[[1.0], [5.0], [9.0]]])
    assert float(masked_mean(sequence, torch.tensor([[True, False, True]]))) == 5.0
    assert float(masked_mean(sequence, torch.tensor([[False, True, False]]))) == 5.0
    assert float(masked_mean(sequence, torch.tensor([[True, True, False]]))) == 3.0
