"""What is trained: the model with its losses as one module, so that one call is one pass."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mer_edge.model.batch import ModelBatch
from mer_edge.model.mer import MerModel
from mer_edge.model.sem import TextGuide
from train.collate import LabelledBatch
from train.distill import Distiller
from train.distributed import uncounted
from train.losses import label_loss


class Losses(NamedTuple):
    """Per clip of a batch."""

    total: Tensor
    """(B,): what is minimised"""
    fused: Tensor
    """(B,): the loss of the decision alone, without the terms of modalities and teacher"""


class Learner(nn.Module):
    """A labelled batch to its losses.

    Args:
        model: trained in place.
        label_weight: see :func:`train.losses.label_weights`; shape = (labels,).
        modality_loss_weight: how much each modality's own decision counts beside the fused one.
        distiller: pulls the model towards a teacher; None without one.
    """

    def __init__(
        self,
        model: MerModel,
        label_weight: Tensor,
        modality_loss_weight: float = 0.0,
        distiller: Distiller | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.distiller = distiller
        self.modality_loss_weight = modality_loss_weight
        self.shares_faces = False
        """Whether the BatchNorm of the visual encoder is shared with other processes."""
        self.register_buffer("label_weight", label_weight, persistent=False)
        self.label_weight: Tensor

    def forward(self, batch: LabelledBatch) -> Losses:
        if self.distiller is None:
            fused = self.model(batch.inputs)
            loss = total = self._loss(fused.logits, batch.targets)
        else:
            with self.distiller.watching(self.model) as seen:
                fused = self.model(batch.inputs)
            loss = self._loss(fused.logits, batch.targets)
            total = self.distiller(batch, fused.logits, loss, seen)
        if self.modality_loss_weight:
            own = self._modality_loss(fused.decisions, batch)
            total = total + self.modality_loss_weight * own
        if self.shares_faces and not batch.inputs.visual_mask.any():
            total = total + 0 * self._keep_company(batch.inputs)
        return Losses(total, loss)

    def _keep_company(self, inputs: ModelBatch) -> Tensor:
        """Pass one black face through the visual encoder without letting it count.

        The other processes wait in every BatchNorm for this one's part, forward and backward.
        """
        model = self.model
        faces = inputs.faces[:1, :1].flatten(0, 1)
        nothing = inputs.waveform.new_zeros(1, 1, model.config.text.hidden_size)
        guide = TextGuide(nothing[:, 0], nothing, nothing.new_ones(1, 1, dtype=torch.bool))
        with uncounted(model):
            return model.encode_visual(faces, guide).sum()

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return label_loss(logits, targets, self.model.config.task, self.label_weight)

    def _modality_loss(self, decisions: Tensor, batch: LabelledBatch) -> Tensor:
        """Mean loss (B,) of the decisions (B, 3, labels) of the modalities that a clip has."""
        present = self.model.present(batch.inputs)
        loss = self._loss(decisions, batch.targets[:, None].expand_as(decisions))
        return (loss * present).sum(1) / present.sum(1).clamp(min=1)
