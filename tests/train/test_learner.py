"""The losses of a batch, clip by clip."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mer_edge.model.build import build_model
from tests.train.samples import CONFIG
from train.collate import Example, LabelledBatch, collate
from train.learner import Learner

WEIGHT = torch.tensor([2.0, 3.0])


def example(tokens: int, face: bool, label: int) -> Example:
    rng = np.random.default_rng(tokens)
    return Example(
        input_ids=rng.integers(1, 30, tokens),
        waveform=rng.uniform(-1, 1, (1, 15600)).astype(np.float32),
        faces=rng.integers(0, 256, (1, 224, 224, 3), np.uint8),
        audio_present=np.array([True]),
        face_present=np.array([face]),
        targets=np.arange(2) == label,
    )


@pytest.fixture
def batch() -> LabelledBatch:
    return collate([example(3, False, 0), example(0, True, 1)])


def test_the_loss_of_a_clip_is_that_of_its_fused_decision(batch):
    model, _ = build_model(CONFIG, seed=0)
    model.eval()
    losses = Learner(model, WEIGHT).eval()(batch)
    logits = model(batch.inputs).logits
    for row in range(2):
        expected = F.binary_cross_entropy_with_logits(
            logits[row], batch.targets[row], pos_weight=WEIGHT
        )
        assert float(losses.total[row]) == pytest.approx(float(expected), abs=1e-6)
    assert torch.equal(losses.total, losses.fused)


def test_the_modality_loss_is_the_mean_over_what_a_clip_has(batch):
    model, _ = build_model(CONFIG, seed=0)
    losses = Learner(model, WEIGHT, modality_loss_weight=0.5).eval()(batch)
    decisions = model.eval()(batch.inputs).decisions
    for row, present in ((0, (0, 2)), (1, (0, 1))):
        own = [
            F.binary_cross_entropy_with_logits(
                decisions[row, modality], batch.targets[row], pos_weight=WEIGHT
            )
            for modality in present
        ]
        added = float(losses.total[row] - losses.fused[row])
        assert added == pytest.approx(0.5 * float(torch.stack(own).mean()), abs=1e-6)


def test_a_clip_without_anything_has_no_modality_loss(batch):
    for mask in (batch.inputs.audio_mask, batch.inputs.visual_mask, batch.inputs.text_mask):
        mask.fill_(False)
    losses = Learner(build_model(CONFIG, seed=0)[0], WEIGHT, 1.0).eval()(batch)
    assert torch.equal(losses.total, losses.fused)


def test_exclusive_labels_have_the_cross_entropy_of_the_fused_and_each_own_decision(batch):
    model, _ = build_model(replace(CONFIG, task="multiclass"), seed=0)
    losses = Learner(model, WEIGHT, modality_loss_weight=0.5).eval()(batch)
    fused = model.eval()(batch.inputs)
    truth = batch.targets.argmax(1)
    expected = F.cross_entropy(fused.logits, truth, WEIGHT, reduction="none")
    assert torch.allclose(losses.fused, expected, atol=1e-6)
    for row, present in ((0, (0, 2)), (1, (0, 1))):
        decisions = fused.decisions[row, list(present)]
        own = F.cross_entropy(decisions, truth[row].expand(2), WEIGHT, reduction="none").mean()
        added = (losses.total[row] - losses.fused[row]).item()
        assert added == pytest.approx(0.5 * own.item(), abs=1e-6)
