"""Semantic enhancement module: the text guides a feature map of the audio or visual encoder.

Xia, Zhao and Jiang 2022, section 3.2: Q = Conv_q(F), K = Conv_k(I_t), V = Conv_v(I_t), E =
softmax(Q K^T / sqrt(C)) V, then Conv_o, LayerNorm and ReLU. The order of the last three is not
printed; here it is ReLU(LN(F + Conv_o(E))) with LN over the channels of each position.

I_t is one vector, so there is one key, and the softmax over one key is 1: read literally (form
``key``) the module adds Conv_o(V) everywhere and neither Conv_q nor Conv_k ever learns. The form
``spatial`` takes the softmax over the positions of the map instead; ``tokens`` takes keys and
values from every token of the text.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mer_edge.model.config import SemAttention
from mer_edge.model.precision import widened

MASKED_SCORE = -1e4
"""Added or put where attention may not look: fp16 holds it, and exp of it is 0 in fp32."""


class TextGuide(NamedTuple):
    """What the SEMs of S segments see of the text: the vector, or the tokens of form ``tokens``."""

    vector: Tensor | None
    """(S, d_t)"""
    tokens: Tensor | None = None
    """(S, L, d_t)"""
    token_mask: Tensor | None = None
    """(S, L) bool; at least one true in each row."""


class SemanticEnhancement(nn.Module):
    """Feature map (S, C, H, W), text guide -> enriched map (S, C, H, W).

    The paper's 1x1 convolutions are linear layers here, on the map with channels last.
    """

    def __init__(self, channels: int, text_size: int, attention: SemAttention) -> None:
        super().__init__()
        self.attention = attention
        self.conv_q = nn.Linear(channels, channels)
        self.conv_k = nn.Linear(text_size, channels)
        self.conv_v = nn.Linear(text_size, channels)
        self.conv_o = nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)
        self.scale = 1.0 / math.sqrt(channels)

    def forward(self, feature_map: Tensor, text: TextGuide, channels_last: bool = False) -> Tensor:
        """``channels_last``: leave the map so in memory, for convolutions that want it so."""
        channels, height, width = feature_map.shape[1:]
        features = feature_map.flatten(2).transpose(1, 2)  # (S, HW, C)
        if self.attention == "tokens":
            update = self._tokens_update(features, text)
        elif self.attention == "spatial":
            update = self._spatial_update(features, text)
        else:
            update = self._key_update(text)
        enriched = F.relu(self.norm(widened(features + update)))
        enriched = enriched.transpose(1, 2).reshape(-1, channels, height, width)
        # Contiguous: the convolutions that follow take the same path with a SEM as without.
        return enriched if channels_last else enriched.contiguous()

    def _spatial_update(self, features: Tensor, text: TextGuide) -> Tensor:
        """Conv_o(E) of shape (S, HW, C), the softmax over the HW positions.

        Exact algebra spares two C x C convolutions on every position: Q K^T is
        F (W_q^T k) + b_q k, whose second term is the same everywhere, so that the softmax does
        not see it (b_q never learns); and E is the outer product of the weights with v, so that
        Conv_o need only see v.
        """
        assert text.vector is not None
        key = self.conv_k(text.vector)  # (S, C)
        direction = torch.matmul(key, self.conv_q.weight).unsqueeze(2)  # (S, C, 1)
        scores = widened(torch.matmul(features, direction)) * self.scale  # (S, HW, 1)
        weights = torch.softmax(scores, dim=1)
        value = F.linear(self.conv_v(text.vector), self.conv_o.weight).unsqueeze(1)  # (S, 1, C)
        return weights * value + self.conv_o.bias

    def _key_update(self, text: TextGuide) -> Tensor:
        """Conv_o(E) of shape (S, 1, C): the softmax over the only key is 1."""
        assert text.vector is not None
        update: Tensor = self.conv_o(self.conv_v(text.vector))
        return update.unsqueeze(1)

    def _tokens_update(self, features: Tensor, text: TextGuide) -> Tensor:
        """Conv_o(E) of shape (S, HW, C), the softmax over the tokens of the text.

        Conv_o is applied to the L values instead of the HW results; the weights of a position
        add up to 1, so its bias comes out the same.
        """
        assert text.tokens is not None
        assert text.token_mask is not None
        keys = self.conv_k(text.tokens)  # (S, L, C)
        values = self.conv_o(self.conv_v(text.tokens))  # (S, L, C)
        scores = widened(torch.matmul(self.conv_q(features), keys.transpose(1, 2))) * self.scale
        hidden = (~text.token_mask).unsqueeze(1)  # (S, 1, L)
        weights = torch.softmax(scores.masked_fill(hidden, MASKED_SCORE), dim=2)  # (S, HW, L)
        return torch.matmul(weights, values)
