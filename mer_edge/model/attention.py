"""Multi-head attention, positions and feed-forward network of the cross-modal encoders."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mer_edge.model.config import ModelConfig
from mer_edge.model.precision import widened
from mer_edge.model.sem import MASKED_SCORE


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
        scores = widened(torch.matmul(q, k.transpose(2, 3))) * self.scale  # (B, heads, Q, K)
        if mask is not None:
            scores = scores.masked_fill((~mask)[:, None, None, :], MASKED_SCORE)
        mixed = torch.matmul(torch.softmax(scores, dim=-1), v)
        attended: Tensor = self.dropout(self.output(mixed.transpose(1, 2).flatten(2)))
        return attended

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)


def feed_forward(config: ModelConfig) -> nn.Sequential:
    """LayerNorm, then two linear layers with ReLU between; the residual sum is the caller's."""
    size, hidden = config.bottleneck_size, config.feed_forward_ratio * config.bottleneck_size
    return nn.Sequential(
        nn.LayerNorm(size),
        nn.Linear(size, hidden),
        nn.ReLU(),
        nn.Dropout(config.dropout),
        nn.Linear(hidden, size),
        nn.Dropout(config.dropout),
    )


def sine_positions(sequence: Tensor) -> Tensor:
    """Sine and cosine positions (N, d) for a sequence (B, N, d) (Vaswani et al. 2017).

    Computed, not looked up: a clip may have any number of segments.
    """
    count, size = sequence.shape[1:]
    position = torch.arange(count, device=sequence.device, dtype=sequence.dtype).unsqueeze(1)
    exponent = torch.arange(0, size, 2, device=sequence.device, dtype=sequence.dtype) / size
    angle = position * torch.exp(-math.log(10_000.0) * exponent)  # (N, d / 2)
    return torch.stack((torch.sin(angle), torch.cos(angle)), dim=2).flatten(1)
