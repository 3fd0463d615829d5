"""Multimodal bottleneck transformer: audio and visual features meet in a few bottleneck tokens.

Compression and expansion as in UMT (Liu et al., CVPR 2022, arXiv 2203.12745), which the paper
builds on (Xia, Zhao and Jiang 2022, section 3.3); unlike UMT it keeps the two sequences apart.
Not fixed by the paper and chosen here: each modality and each stage has weights of its own,
dropout stands after every attention and inside the feed-forward network, one layer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mer_edge.model.attention import MultiHeadAttention, feed_forward, sine_positions
from mer_edge.model.config import ModelConfig
from mer_edge.model.precision import widened


class BottleneckTransformer(nn.Module):
    """Audio (B, N, a) and visual (B, N, v) features -> (B, N, d_m) each."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        size = config.bottleneck_size
        self.size = size
        self.bottleneck = nn.Parameter(torch.empty(config.bottleneck_tokens, size))
        nn.init.trunc_normal_(self.bottleneck, std=0.02)
        self.bottleneck_norm = nn.LayerNorm(size)
        self.expansion_norm = nn.LayerNorm(size)
        self.audio = ModalityLayers(config.audio.embedding_size, config)
        self.visual = ModalityLayers(config.visual.embedding_size, config)

    def forward(
        self, audio: Tensor, visual: Tensor, audio_mask: Tensor, visual_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The masks (B, N) are bool, true where a segment may be looked at, one at least a row."""
        a = widened(self.audio.project(audio))  # (B, N, d_m)
        v = widened(self.visual.project(visual))
        a_normed, v_normed = self.audio.norm(a), self.visual.norm(v)
        position = sine_positions(a)  # (N, d_m)
        z = self.bottleneck.expand(a.shape[0], -1, -1)  # (B, tokens, d_m)
        query = self.bottleneck_norm(z)
        z = (
            z
            + self.audio.compress(query, a_normed + position, a_normed, audio_mask)
            + self.visual.compress(query, v_normed + position, v_normed, visual_mask)
        )
        z_normed = self.expansion_norm(z)
        a = a + self.audio.expand(a_normed + position, z_normed, z_normed)
        v = v + self.visual.expand(v_normed + position, z_normed, z_normed)
        return a + self.audio.feed_forward(a), v + self.visual.feed_forward(v)


class ModalityLayers(nn.Module):
    """The layers of one modality in the bottleneck transformer."""

    def __init__(self, inputs: int, config: ModelConfig) -> None:
        super().__init__()
        size, heads, dropout = config.bottleneck_size, config.attention_heads, config.dropout
        self.project = nn.Linear(inputs, size)
        self.norm = nn.LayerNorm(size)
        self.compress = MultiHeadAttention(size, heads, dropout)
        self.expand = MultiHeadAttention(size, heads, dropout)
        self.feed_forward = feed_forward(config)
