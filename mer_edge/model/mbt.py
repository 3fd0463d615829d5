"""Multimodal bottleneck transformer: audio and visual features meet in a few bottleneck tokens.

Compression and expansion as in UMT (Liu et al., CVPR 2022, arXiv 2203.12745), which the paper
builds on (Xia, Zhao and Jiang 2022, section 3.3); unlike UMT it keeps the two sequences apart.
Not fixed by the paper and chosen here: each modality and each stage has weights of its own,
dropout stands after every attention and inside the feed-forward network, one layer.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mer_edge.model.config import ModelConfig
from mer_edge.model.sem import MASKED_SCORE


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
        a, v = self.audio.project(audio), self.visual.project(visual)  # (B, N, d_m)
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
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(size),
            nn.Linear(size, config.feed_forward_ratio * size),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(config.feed_forward_ratio * size, size),
            nn.Dropout(dropout),
        )


class MultiHeadAttention(nn.Module):
    """Query (B, Q, d), key and value (B, K, d), mask (B, K) bool or None -> (B, Q, d).

    Plain matrix products and a softmax, which every exporter and engine knows. A masked key gets
    a score that is finite, so that not even a row without any key makes a NaN.
    """

    def __init__(self, size: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.scale = 1.0 / math.sqrt(size // heads)
        self.query = nn.Linear(size, size)
        self.key = nn.Linear(size, size)
        self.value = nn.Linear(size, size)
        self.output = nn.Linear(size, size)
        self.dropout = nn.Dropout(dropout)
        for linear in (self.query, self.key, self.value, self.output):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        q = self._split(self.query(query))  # (B, heads, Q, d / heads)
        k = self._split(self.key(key))
        v = self._split(self.value(value))
        scores = torch.matmul(q, k.transpose(2, 3)) * self.scale  # (B, heads, Q, K)
        if mask is not None:
            scores = scores.masked_fill((~mask)[:, None, None, :], MASKED_SCORE)
        mixed = torch.matmul(torch.softmax(scores, dim=-1), v)
        attended: Tensor = self.dropout(self.output(mixed.transpose(1, 2).flatten(2)))
        return attended

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)


def sine_positions(sequence: Tensor) -> Tensor:
    """Sine and cosine positions (N, d) for a sequence (B, N, d) (Vaswani et al. 2017).

    Computed, not looked up: a clip may have any number of segments.
    """
    count, size = sequence.shape[1:]
    position = torch.arange(count, device=sequence.device, dtype=sequence.dtype).unsqueeze(1)
    exponent = torch.arange(0, size, 2, device=sequence.device, dtype=sequence.dtype) / size
    angle = position * torch.exp(-math.log(10_000.0) * exponent)  # (N, d / 2)
    return torch.stack((torch.sin(angle), torch.cos(angle)), dim=2).flatten(1)
