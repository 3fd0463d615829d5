"""From features to the decision: cross-modal encoder, a decision a modality, attentive fusion.

Xia, Zhao and Jiang 2022, section 3.4. Not fixed by the paper and chosen here: each decision is
an MLP of one hidden layer, d_m wide, with ReLU; the fusion's two trainable parameters are a
matrix W (M, M) and a vector w (M) in the usual additive attention, score_i = w . tanh(W D_i).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mer_edge.model.config import ModelConfig
from mer_edge.model.cross_modal import make_cross_modal
from mer_edge.model.precision import widened
from mer_edge.model.sem import MASKED_SCORE
from mer_edge.segments import MODALITIES

CROSS_MODAL_NAMES = {
    "mbt": "mbt",
    "joint": "joint",
    "bi_cross": "bi_cross",
    "none": "projection",
}
"""Under which name :class:`FusionHead` holds the cross-modal encoder: part of its weights' keys."""


class Fused(NamedTuple):
    """The decision on B clips, in the order of the modalities: audio, visual, text."""

    logits: Tensor
    """(B, M): for a sigmoid per label or, of exclusive labels, one softmax."""
    decisions: Tensor
    """(B, 3, M): the logits that each modality alone would give; 0 for one that is not used."""
    weights: Tensor
    """(B, 3): they add up to 1; exactly 0 for an absent modality, or one that is not used."""


class FusionHead(nn.Module):
    """Features of segments and text, and what of it is there -> :class:`Fused`.

    Only the modalities of the configuration have parameters; the others' inputs are None.
    """

    absent_audio: nn.Parameter | None
    absent_visual: nn.Parameter | None

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        labels, size, dropout = len(config.labels), config.bottleneck_size, config.dropout
        self.modalities = config.modalities
        # What an absent modality shows to the other one; without a meeting nobody would see it.
        self.absent_audio = self.absent_visual = None
        if config.cross_modal != "none":
            self.absent_audio = _absent(config.audio.embedding_size)
            self.absent_visual = _absent(config.visual.embedding_size)
        self._cross_modal_name = CROSS_MODAL_NAMES[config.cross_modal]
        if config.has_audio or config.has_visual:
            self.add_module(self._cross_modal_name, make_cross_modal(config))
        if config.has_audio:
            self.audio_decision = _decision(size, size, labels, dropout)
        if config.has_visual:
            self.visual_decision = _decision(size, size, labels, dropout)
        if "text" in config.modalities:
            self.text_decision = _decision(config.text.hidden_size, size, labels, dropout)
        self.attention_matrix = nn.Parameter(torch.empty(labels, labels))
        self.attention_vector = nn.Parameter(torch.empty(labels))
        nn.init.xavier_uniform_(self.attention_matrix)
        nn.init.normal_(self.attention_vector, std=labels**-0.5)

    def forward(
        self,
        audio: Tensor | None = None,
        visual: Tensor | None = None,
        text: Tensor | None = None,
        audio_mask: Tensor | None = None,
        visual_mask: Tensor | None = None,
        text_mask: Tensor | None = None,
    ) -> Fused:
        """Fuse B clips of N segments.

        Args:
            audio: (B, N, a); what stands in absent segments does not matter.
            visual: (B, N, v), likewise.
            text: (B, d_t), the model's ``absent_text`` where there is no text.
            audio_mask: (B, N) bool, true where a segment has sound.
            visual_mask: (B, N) bool, true where a segment has a face.
            text_mask: (B,) bool.

        A clip of which nothing is there gets weights and logits of 0.
        """
        there = [mask.any(1) for mask in (audio_mask, visual_mask) if mask is not None]
        there += [] if text_mask is None else [text_mask]
        present = torch.stack(there, dim=1)  # (B, used)
        decisions: list[Tensor] = []  # (B, M) each
        a, v, audio_mask, visual_mask = self.encode(audio, visual, audio_mask, visual_mask)
        if a is not None and audio_mask is not None:
            decisions.append(self.audio_decision(masked_mean(a, audio_mask)))
        if v is not None and visual_mask is not None:
            decisions.append(self.visual_decision(masked_mean(v, visual_mask)))
        if text is not None:
            decisions.append(self.text_decision(text))
        stacked = widened(torch.stack(decisions, dim=1))  # (B, used, M)
        logits, weights = self.weigh(stacked, present)
        return Fused(logits, self._in_order(stacked), self._in_order(weights))

    def weigh(self, decisions: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Decisions (B, used, M) and which of them are there (B, used) -> the fused logits (B, M)
        and the weights (B, used) that they are the sum by."""
        weights = self._weights(decisions, present)
        return (weights.unsqueeze(2) * decisions).sum(1), weights

    def encode(
        self,
        audio: Tensor | None,
        visual: Tensor | None,
        audio_mask: Tensor | None,
        visual_mask: Tensor | None,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
        """Features as :meth:`forward` takes them -> (B, N, d_m) each, and the masks to pool with.

        These show one segment, the learned vector, of a clip that has none. What belongs to a
        modality that is not used is None.
        """
        if audio is None and visual is None:
            return None, None, None, None
        if audio is not None and audio_mask is not None:
            audio, audio_mask = _stand_in(audio, audio_mask, self.absent_audio)
        if visual is not None and visual_mask is not None:
            visual, visual_mask = _stand_in(visual, visual_mask, self.absent_visual)
        cross_modal = self.get_submodule(self._cross_modal_name)
        a, v = cross_modal(audio, visual, audio_mask, visual_mask)
        return a, v, audio_mask, visual_mask

    def _weights(self, decisions: Tensor, present: Tensor) -> Tensor:
        """The softmax over the modalities that are there; exactly 0 for the others."""
        hidden = torch.tanh(torch.matmul(decisions, self.attention_matrix))  # (B, used, M)
        scores = widened(torch.matmul(hidden, self.attention_vector))  # (B, used)
        weights = torch.softmax(scores.masked_fill(~present, MASKED_SCORE), dim=1)
        return weights * present.to(weights.dtype)

    def _in_order(self, used: Tensor) -> Tensor:
        """(B, used, ...) -> (B, 3, ...): zeros for the modalities that are not used."""
        if self.modalities == MODALITIES:
            return used
        columns = dict(zip(self.modalities, used.unbind(1), strict=True))
        nothing = torch.zeros_like(used[:, 0])
        return torch.stack([columns.get(name, nothing) for name in MODALITIES], dim=1)


def _stand_in(features: Tensor, mask: Tensor, absent: Tensor | None) -> tuple[Tensor, Tensor]:
    """Put the learned vector into absent segments and let a clip without any show the first one.

    So a modality that is wholly absent is one known token, never an empty attention row. Without
    a learned vector it is zeros.
    """
    if absent is None:
        absent = features.new_zeros(())
    features = torch.where(mask.unsqueeze(2), features, absent)
    nothing = ~mask.any(1, keepdim=True)  # (B, 1)
    return features, torch.cat((mask[:, :1] | nothing, mask[:, 1:]), dim=1)


def masked_mean(sequence: Tensor, mask: Tensor) -> Tensor:
    """Global average pooling over the true segments: (B, N, d), (B, N) -> (B, d)."""
    weight = mask.to(sequence.dtype).unsqueeze(2)  # (B, N, 1)
    return (sequence * weight).sum(1) / weight.sum(1)


def _absent(size: int) -> nn.Parameter:
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(size), std=0.02))


def _decision(inputs: int, hidden: int, labels: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, labels)
    )
