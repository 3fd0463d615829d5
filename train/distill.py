"""Knowledge distillation: a small model learns what a trained larger one says and sees.

Logits as in Hinton, Vinyals and Dean (2015); of independent labels with one sigmoid per label in
the place of the softmax. Features as in FitNets (Romero et al. 2015): a linear layer, which only
training has, takes the student's features to the teacher's width. Their distance is one minus the
cosine, which asks for the direction and leaves the scale free.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mer_edge.errors import MerEdgeError
from mer_edge.model.batch import ModelBatch
from mer_edge.model.mer import MerModel
from mer_edge.segments import MODALITIES
from train.collate import LabelledBatch
from train.distill_settings import DistillSettings
from train.losses import soft_loss

Features = dict[str, Tensor]
"""``audio`` (B, N, a), ``visual`` (B, N, v) and ``text`` (B, d_t) as they go into the fusion."""


class Distiller(nn.Module):
    """Adds what the teacher has to say to a student's loss.

    The teacher is frozen, in evaluation mode, and no part of the module: neither its weights nor
    those of its text encoder are trained, saved or counted.

    Raises:
        MerEdgeError: teacher and student do not decide on the same labels in the same order, or
            one of them takes the labels for exclusive and the other does not.
    """

    def __init__(self, teacher: MerModel, student: MerModel, settings: DistillSettings) -> None:
        super().__init__()
        if teacher.config.labels != student.config.labels:
            raise MerEdgeError(
                f"the teacher's labels are {', '.join(teacher.config.labels)}; expected "
                f"{', '.join(student.config.labels)}; train the teacher on the same labels, or "
                "give --labels in its order"
            )
        self.task = student.config.task
        if teacher.config.task != self.task:
            raise MerEdgeError(
                f"the teacher's task is {teacher.config.task}; expected {self.task} like the "
                "student's; train one of them with the other's --task"
            )
        self.settings = settings
        self._teacher = (teacher.eval().requires_grad_(False),)  # a tuple hides it from nn.Module
        theirs, ours = feature_sizes(teacher), feature_sizes(student)
        self.projections = nn.ModuleDict(
            {
                name: nn.Linear(ours[name], theirs[name])
                for name in MODALITIES
                if name in ours and name in theirs
            }
        )

    def forward(self, batch: LabelledBatch, logits: Tensor, loss: Tensor, seen: Features) -> Tensor:
        """The student's loss (B,) together with the teacher's say.

        Args:
            logits: (B, labels) of the student.
            loss: (B,), the student's against the truth.
            seen: the student's features of the same pass.
        """
        teacher = self._teacher[0]
        assert batch.teacher_ids is not None
        assert batch.teacher_attention_mask is not None
        inputs = replace(
            batch.inputs,
            input_ids=batch.teacher_ids,
            attention_mask=batch.teacher_attention_mask,
        )
        with torch.no_grad(), self.watching(teacher) as known:
            said = teacher(inputs).logits
        settings = self.settings
        temperature = settings.temperature
        towards = soft_loss(logits / temperature, said.float() / temperature, self.task)
        # The squared temperature keeps the gradients of both terms of one size.
        mixed = (1 - settings.logits_weight) * loss + (
            settings.logits_weight * temperature**2
        ) * towards
        # Of a clip without anything that the teacher decides by it has nothing to say.
        mixed = torch.where(teacher.present(inputs).any(1), mixed, loss)
        return mixed + settings.features_weight * self._distance(batch.inputs, seen, known)

    @staticmethod
    @contextmanager
    def watching(model: MerModel) -> Iterator[Features]:
        """Catch what goes into the model's fusion while the block runs."""
        seen: Features = {}

        def catch(_: nn.Module, arguments: tuple[Tensor | None, ...]) -> None:
            for name, tensor in zip(MODALITIES, arguments, strict=False):
                if tensor is not None:
                    seen[name] = tensor

        handle = model.fusion.register_forward_pre_hook(catch)
        try:
            yield seen
        finally:
            handle.remove()

    def _distance(self, inputs: ModelBatch, ours: Features, theirs: Features) -> Tensor:
        """One minus the cosine (B,), the mean over what a clip has of each modality."""
        total = inputs.text_mask.new_zeros(len(inputs.text_mask), dtype=torch.float32)
        counted = torch.zeros_like(total)
        masks = {
            "audio": inputs.audio_mask,
            "visual": inputs.visual_mask,
            "text": inputs.text_mask[:, None],
        }
        for name, projection in self.projections.items():
            mine, wanted = projection(ours[name]), theirs[name].to(torch.float32)
            if name == "text":
                mine, wanted = mine[:, None], wanted[:, None]
            far = 1 - F.cosine_similarity(mine.float(), wanted, dim=2)  # (B, N)
            mask = masks[name]
            there = mask.any(1)
            mean = (far * mask).sum(1) / mask.sum(1).clamp(min=1)
            total, counted = total + mean * there, counted + there
        return total / counted.clamp(min=1)


def feature_sizes(model: MerModel) -> dict[str, int]:
    """The width of each feature that the model's decision uses."""
    config = model.config
    sizes = {
        "audio": config.audio.embedding_size,
        "visual": config.visual.embedding_size,
        "text": config.text.hidden_size,
    }
    return {name: sizes[name] for name in config.modalities}
