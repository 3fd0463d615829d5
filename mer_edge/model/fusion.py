"""From features to the decision: bottleneck transformer, three decisions, attentive fusion.

Xia, Zhao and Jiang 2022, section 3.4. Not fixed by the paper and chosen here: each decision is
an MLP of one hidden layer, d_m wide, with ReLU; the fusion's two trainable parameters are a
matrix W (M, M) and a vector w (M) in the usual additive attention, score_i = w . tanh(W D_i).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mer_edge.model.config import ModelConfig
from mer_edge.model.mbt import BottleneckTransformer
from mer_edge.model.sem import MASKED_SCORE


class Fused(NamedTuple):
    """The decision on B clips, in the order of the modalities: audio, visual, text."""

    logits: Tensor
    """(B, M), one sigmoid per label."""
    decisions: Tensor
    """(B, 3, M): the logits that each modality alone would give."""
    weights: Tensor
    """(B, 3): they add up to 1; exactly 0 for an absent modality."""


class FusionHead(nn.Module):
    """Features of segments and text, and what of it is there -> :class:`Fused`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        labels, size = len(config.labels), config.bottleneck_size
        self.absent_audio = nn.Parameter(torch.empty(config.audio.embedding_size))
        self.absent_visual = nn.Parameter(torch.empty(config.visual.embedding_size))
        nn.init.trunc_normal_(self.absent_audio, std=0.02)
        nn.init.trunc_normal_(self.absent_visual, std=0.02)
        self.mbt = BottleneckTransformer(config)
        self.audio_decision = _decision(size, size, labels, config.dropout)
        self.visual_decision = _decision(size, size, labels, config.dropout)
        self.text_decision = _decision(config.text.hidden_size, size, labels, config.dropout)
        self.attention_matrix = nn.Parameter(torch.empty(labels, labels))
        self.attention_vector = nn.Parameter(torch.empty(labels))
        nn.init.xavier_uniform_(self.attention_matrix)
        nn.init.normal_(self.attention_vector, std=labels**-0.5)

    def forward(
        self,
        audio: Tensor,
        visual: Tensor,
        text: Tensor,
        audio_mask: Tensor,
        visual_mask: Tensor,
        text_mask: Tensor,
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
        present = torch.stack((audio_mask.any(1), visual_mask.any(1), text_mask), dim=1)  # (B, 3)
        audio, audio_mask = _stand_in(audio, audio_mask, self.absent_audio)
        visual, visual_mask = _stand_in(visual, visual_mask, self.absent_visual)
        a, v = self.mbt(audio, visual, audio_mask, visual_mask)  # (B, N, d_m)
        decisions = torch.stack(
            (
                self.audio_decision(masked_mean(a, audio_mask)),
                self.visual_decision(masked_mean(v, visual_mask)),
                self.text_decision(text),
            ),
            dim=1,
        )
        weights = self._weights(decisions, present)
        return Fused((weights.unsqueeze(2) * decisions).sum(1), decisions, weights)

    def _weights(self, decisions: Tensor, present: Tensor) -> Tensor:
        """The softmax over the modalities that are there; exactly 0 for the others."""
        hidden = torch.tanh(torch.matmul(decisions, self.attention_matrix))  # (B, 3, M)
        scores = torch.matmul(hidden, self.attention_vector)  # (B, 3)
        weights = torch.softmax(scores.masked_fill(~present, MASKED_SCORE), dim=1)
        return weights * present.to(weights.dtype)


def _stand_in(features: Tensor, mask: Tensor, absent: Tensor) -> tuple[Tensor, Tensor]:
    """Put the learned vector into absent segments and let a clip without any show the first one.

    So a modality that is wholly absent is one known token, never an empty attention row.
    """
    features = torch.where(mask.unsqueeze(2), features, absent)
    nothing = ~mask.any(1, keepdim=True)  # (B, 1)
    return features, torch.cat((mask[:, :1] | nothing, mask[:, 1:]), dim=1)


def masked_mean(sequence: Tensor, mask: Tensor) -> Tensor:
    """Global average pooling over the true segments: (B, N, d), (B, N) -> (B, d)."""
    weight = mask.to(sequence.dtype).unsqueeze(2)  # (B, N, 1)
    return (sequence * weight).sum(1) / weight.sum(1)


def _decision(inputs: int, hidden: int, labels: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, labels)
    )
