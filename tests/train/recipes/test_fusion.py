"""The starter's fusion: the encoders' heads placed exactly, draws, attention, calibration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from mer_edge.model.config import TINY, with_variant
from mer_edge.model.mer import MerModel
from train.recipes.corpora import LABELS
from train.recipes.fusion import (
    Bank,
    Draws,
    FusionSettings,
    _place_linear,
    _place_mlp,
    draw,
    fuse,
    least_confidence,
    train_attention,
)
from train.recipes.temperature import fit_temperature

NEUTRAL = LABELS.index("neutral")


@pytest.fixture
def model() -> MerModel:
    torch.manual_seed(3)
    config = replace(with_variant(TINY, "mer"), labels=LABELS, task="multiclass")
    return MerModel(config).eval()


def bank(sharpness: float, seed: int, per_class: int = 40) -> Bank:
    """Logits that are right the more often the sharper they are."""
    rng = np.random.default_rng(seed)
    classes = np.repeat(np.arange(len(LABELS)), per_class)
    logits = rng.normal(size=(len(classes), len(LABELS)))
    logits[np.arange(len(classes)), classes] += sharpness
    return Bank(logits, classes)


@pytest.fixture
def banks() -> dict[str, Bank]:
    return {"audio": bank(0.8, 1), "visual": bank(1.5, 2), "text": bank(1.7, 3)}


@torch.no_grad()
def test_the_heads_become_the_decisions_exactly(model: MerModel) -> None:
    size = model.config.bottleneck_size
    head = nn.Sequential(nn.Linear(24, size), nn.ReLU(), nn.Dropout(0.1), nn.Linear(size, 7)).eval()
    line = nn.Linear(24, 7)
    fusion, features = model.fusion, torch.randn(2, 5, 24)
    projection = fusion.get_submodule("projection")
    _place_mlp(projection.visual, fusion.visual_decision, head.state_dict(), 2.0)
    _place_linear(projection.audio, fusion.audio_decision, line.state_dict(), 0.5)
    there = torch.ones(2, 5, dtype=torch.bool)
    text = torch.zeros(2, model.config.text.hidden_size)
    found = fusion(features, features, text, there, there, torch.ones(2, dtype=torch.bool))
    torch.testing.assert_close(found.decisions[:, 0], line(features.mean(1)) / 0.5)
    torch.testing.assert_close(found.decisions[:, 1], head(features.mean(1)) / 2.0)


def test_draws_are_of_one_class_and_have_something(banks: dict[str, Bank]) -> None:
    sure = {name: Bank(np.eye(7)[one.classes] * 9, one.classes) for name, one in banks.items()}
    draws = draw(sure, 4000, np.random.default_rng(0), 0.4, 0.3)
    said = draws.decisions.argmax(2)
    assert (said[:, :2] == draws.classes[:, None]).all()
    neutral = said[:, 2] == NEUTRAL
    assert 0.3 < neutral.mean() < 0.48  # 0.3 and a seventh of the others
    assert (said[~neutral, 2] == draws.classes[~neutral]).all()
    assert draws.present.any(1).all()
    assert np.bincount(draws.classes).min() > 450
    misled = neutral & (draws.classes != NEUTRAL)
    assert draws.present[misled, :2].any(1).all()


def test_attention_learns_whom_to_trust(model: MerModel, banks: dict[str, Bank]) -> None:
    before = [p.clone() for p in model.fusion.text_decision.parameters()]
    train_attention(model, banks, FusionSettings(steps=200))
    draws = draw(banks, 3000, np.random.default_rng(9))
    fused = (fuse(model, draws).argmax(1) == draws.classes).mean()
    alone = [(draws.decisions[:, i].argmax(1) == draws.classes).mean() for i in range(3)]
    assert fused > max(alone) + 0.02
    after = model.fusion.text_decision.parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_one_alone_decides_as_it_would(model: MerModel, banks: dict[str, Bank]) -> None:
    draws = draw(banks, 50, np.random.default_rng(1))
    only = Draws(draws.decisions, np.tile([False, True, False], (50, 1)), draws.classes)
    np.testing.assert_allclose(fuse(model, only), draws.decisions[:, 1], rtol=1e-6)


def test_the_temperature_and_the_least_confidence() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 7)) * 2
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    classes = (shares.cumsum(1) > rng.random((20_000, 1))).argmax(1)
    assert fit_temperature(logits * 3, classes) == pytest.approx(3.0, rel=0.05)
    probabilities = np.tile(np.linspace(0.2, 0.99, 100)[:, None], (1, 2))
    assert least_confidence(probabilities, 0.8) == pytest.approx(0.36, abs=0.01)
