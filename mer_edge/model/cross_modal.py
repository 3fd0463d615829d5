"""The cross-modal encoders that the paper compares the bottleneck transformer with, and none.

All of them take audio (B, N, a) and visual (B, N, v) features with their masks (B, N), bool, one
true at least a row, and give (B, N, d_m) each. Width, heads, feed-forward ratio, positions and
the order of the norms are those of :class:`mer_edge.model.mbt.BottleneckTransformer`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mer_edge.model.attention import MultiHeadAttention, feed_forward, sine_positions
from mer_edge.model.config import ModelConfig
from mer_edge.model.mbt import BottleneckTransformer
from mer_edge.model.precision import widened


class JointTransformer(nn.Module):
    """JointAtt: one transformer layer over audio and visual tokens in one sequence of 2 N."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        size = config.bottleneck_size
        self.audio_project = nn.Linear(config.audio.embedding_size, size)
        self.visual_project = nn.Linear(config.visual.embedding_size, size)
        self.norm = nn.LayerNorm(size)
        self.attend = MultiHeadAttention(size, config.attention_heads, config.dropout)
        self.feed_forward = feed_forward(config)

    def forward(
        self, audio: Tensor, visual: Tensor, audio_mask: Tensor, visual_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        a, v = widened(self.audio_project(audio)), widened(self.visual_project(visual))
        # Sound and face of one segment have the same position: they are simultaneous.
        position = sine_positions(a)
        position = torch.cat((position, position))  # (2 N, d_m)
        x = torch.cat((a, v), dim=1)  # (B, 2 N, d_m)
        normed = self.norm(x)
        mask = torch.cat((audio_mask, visual_mask), dim=1)
        x = x + self.attend(normed + position, normed + position, normed, mask)
        x = x + self.feed_forward(x)
        count = audio.shape[1]
        # Slices: torch 2.11's exporter fails on a chunk or split of a dynamic size.
        return x[:, :count], x[:, count:]


class BiCrossTransformer(nn.Module):
    """Bi-CrossAtt: audio attends to the faces and the faces to the sound (MulT, Tsai et al. 2019).

    One layer in each direction, with weights of its own.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.audio = CrossLayers(config.audio.embedding_size, config)
        self.visual = CrossLayers(config.visual.embedding_size, config)

    def forward(
        self, audio: Tensor, visual: Tensor, audio_mask: Tensor, visual_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        a, v = widened(self.audio.project(audio)), widened(self.visual.project(visual))
        a_normed, v_normed = self.audio.norm(a), self.visual.norm(v)
        position = sine_positions(a)  # (N, d_m)
        a_keys, v_keys = a_normed + position, v_normed + position
        a = a + self.audio.attend(a_keys, v_keys, v_normed, visual_mask)
        v = v + self.visual.attend(v_keys, a_keys, a_normed, audio_mask)
        return a + self.audio.feed_forward(a), v + self.visual.feed_forward(v)


class CrossLayers(nn.Module):
    """The layers of one direction of :class:`BiCrossTransformer`, named after who attends."""

    def __init__(self, inputs: int, config: ModelConfig) -> None:
        super().__init__()
        size = config.bottleneck_size
        self.project = nn.Linear(inputs, size)
        self.norm = nn.LayerNorm(size)
        self.attend = MultiHeadAttention(size, config.attention_heads, config.dropout)
        self.feed_forward = feed_forward(config)


class Projection(nn.Module):
    """No cross-modal encoder: each modality that is there is projected to d_m and that is all."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        size = config.bottleneck_size
        self.audio = nn.Linear(config.audio.embedding_size, size) if config.has_audio else None
        self.visual = nn.Linear(config.visual.embedding_size, size) if config.has_visual else None

    def forward(
        self,
        audio: Tensor | None,
        visual: Tensor | None,
        audio_mask: Tensor | None,
        visual_mask: Tensor | None,
    ) -> tuple[Tensor | None, Tensor | None]:
        return _projected(self.audio, audio), _projected(self.visual, visual)


def _projected(project: nn.Linear | None, features: Tensor | None) -> Tensor | None:
    if project is None or features is None:
        return None
    return widened(project(features))


def make_cross_modal(config: ModelConfig) -> nn.Module:
    """The cross-modal encoder of ``config.cross_modal``."""
    kinds: dict[str, type[nn.Module]] = {
        "mbt": BottleneckTransformer,
        "joint": JointTransformer,
        "bi_cross": BiCrossTransformer,
        "none": Projection,
    }
    module: nn.Module = kinds[config.cross_modal](config)
    return module
