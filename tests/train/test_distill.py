"""A student learns from a teacher: what is added to its loss, and what stays out of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mer_edge.errors import MerEdgeError
from mer_edge.model.build import build_model
from mer_edge.model.config import AudioSizes, TextSizes, with_variant
from mer_edge.model.mer import MerModel
from tests.train.samples import CONFIG, labelled_clips
from train.batches import Loader
from train.collate import LabelledBatch
from train.distill import Distiller
from train.distill_settings import DistillSettings
from train.learner import Learner

LARGER = replace(
    CONFIG,
    text=TextSizes(60, 24, 1, 2, 48, max_position_embeddings=32),
    audio=AudioSizes((8, 8, 8, 8), 16, 24),
)


@pytest.fixture
def batch(tmp_path) -> LabelledBatch:
    clips = [
        replace(clip, teacher_ids=np.arange(5, 9 + number))
        for number, clip in enumerate(labelled_clips(tmp_path, 3))
    ]
    (step,) = Loader(clips, 3).in_order()
    return step.parts[0]


def learner_of(settings: DistillSettings, student: MerModel | None = None) -> Learner:
    teacher, _ = build_model(LARGER, seed=7)
    student = student or build_model(CONFIG, seed=0)[0]
    distiller = Distiller(teacher, student, settings)
    return Learner(student, torch.ones(2), distiller=distiller).eval()


def test_the_teachers_logits_are_a_soft_target(batch):
    settings = DistillSettings(logits_weight=0.25, features_weight=0.0, temperature=3.0)
    losses = learner_of(settings)(batch)
    teacher, student = build_model(LARGER, seed=7)[0].eval(), build_model(CONFIG, seed=0)[0].eval()
    inputs = replace(
        batch.inputs, input_ids=batch.teacher_ids, attention_mask=batch.teacher_attention_mask
    )
    said, logits = teacher(inputs).logits.detach(), student(batch.inputs).logits.detach()
    soft = F.binary_cross_entropy_with_logits(
        logits / 3, torch.sigmoid(said / 3), reduction="none"
    ).mean(1)
    hard = F.binary_cross_entropy_with_logits(logits, batch.targets, reduction="none").mean(1)
    expected = 0.75 * hard + 0.25 * 9 * soft
    assert losses.total.detach().numpy() == pytest.approx(expected.numpy(), abs=1e-6)
    assert losses.fused.detach().numpy() == pytest.approx(hard.numpy(), abs=1e-6)


def test_features_that_point_the_teachers_way_cost_nothing(batch):
    teacher, _ = build_model(CONFIG, seed=0)
    student, _ = build_model(CONFIG, seed=0)
    settings = DistillSettings(logits_weight=0.0, features_weight=1.0)
    distiller = Distiller(teacher, student, settings)
    for projection in distiller.projections.values():
        torch.nn.init.eye_(projection.weight)
        torch.nn.init.zeros_(projection.bias)
    same = replace(
        batch,
        teacher_ids=batch.inputs.input_ids,
        teacher_attention_mask=batch.inputs.attention_mask,
    )
    learner = Learner(student, torch.ones(2), distiller=distiller).eval()
    losses = learner(same)
    assert (losses.total - losses.fused).abs().max() < 1e-5
    with torch.no_grad():
        for projection in distiller.projections.values():
            projection.weight.neg_()
    losses = learner(same)
    assert (losses.total - losses.fused).detach().numpy() == pytest.approx(2.0, abs=1e-4)


def test_the_teacher_is_neither_trained_nor_saved_and_the_projections_are_trained(batch):
    learner = learner_of(DistillSettings())
    names = {name for name, _ in learner.named_parameters()}
    assert {name.split(".")[0] for name in names} == {"model", "distiller"}
    assert {name.split(".")[2] for name in names if name.startswith("distiller")} == {
        "audio",
        "visual",
        "text",
    }
    assert not any("teacher" in name for name in learner.state_dict())
    learner(batch).total.sum().backward()
    assert all(
        parameter.grad is not None and parameter.grad.abs().sum() > 0
        for name, parameter in learner.named_parameters()
        if name.startswith("distiller")
    )


def test_a_student_of_one_modality_learns_that_one(batch):
    student, _ = build_model(with_variant(CONFIG, "audio"), seed=0)
    learner = learner_of(DistillSettings(), student)
    assert list(learner.distiller.projections) == ["audio"]
    assert torch.isfinite(learner(batch).total).all()


def test_other_labels_are_refused():
    teacher, _ = build_model(replace(CONFIG, labels=("happy", "angry")), seed=0)
    student, _ = build_model(CONFIG, seed=0)
    with pytest.raises(MerEdgeError, match="teacher's labels are happy, angry; expected angry, ha"):
        Distiller(teacher, student, DistillSettings())


@pytest.mark.parametrize(
    "settings", [{"logits_weight": 1.5}, {"features_weight": -1.0}, {"temperature": 0.0}]
)
def test_settings_out_of_range_are_named(settings):
    (name,) = settings
    with pytest.raises(MerEdgeError, match=f"distillation: {name} is"):
        DistillSettings(**settings)


def test_a_teacher_of_exclusive_labels_is_a_soft_target(batch):
    settings = DistillSettings(logits_weight=0.25, features_weight=0.0, temperature=3.0)
    exclusive = replace(CONFIG, task="multiclass")
    teacher, _ = build_model(replace(LARGER, task="multiclass"), seed=7)
    student, _ = build_model(exclusive, seed=0)
    distiller = Distiller(teacher, student, settings)
    losses = Learner(student, torch.ones(2), distiller=distiller).eval()(batch)
    inputs = replace(
        batch.inputs, input_ids=batch.teacher_ids, attention_mask=batch.teacher_attention_mask
    )
    with torch.no_grad():
        said, logits = teacher(inputs).logits, student(batch.inputs).logits
    soft = -(torch.softmax(said / 3, 1) * torch.log_softmax(logits / 3, 1)).sum(1)
    hard = F.cross_entropy(logits, batch.targets.argmax(1), reduction="none")
    expected = 0.75 * hard + 0.25 * 9 * soft
    assert losses.total.detach().numpy() == pytest.approx(expected.numpy(), abs=1e-6)


def test_a_teacher_that_takes_the_labels_otherwise_is_refused():
    teacher, _ = build_model(replace(LARGER, task="multiclass"), seed=7)
    student, _ = build_model(CONFIG, seed=0)
    with pytest.raises(MerEdgeError, match="task is multiclass; expected multilabel"):
        Distiller(teacher, student, DistillSettings())
