"""The product's text encoder with a head on [CLS], and its last layer for that token alone."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mer_edge.model.config import TextSizes
from mer_edge.model.sem import MASKED_SCORE
from mer_edge.model.text import TextEncoder
from train.recipes.corpora import LABELS


class TextClassifier(nn.Module):
    """Token ids and their mask, int64 (B, L) each -> logits (B, 7).

    The head has the shape of the fusion's ``text_decision``.
    """

    def __init__(self, sizes: TextSizes, head_size: int, dropout: float) -> None:
        super().__init__()
        self.encoder = TextEncoder(sizes, dropout)
        self.head = nn.Sequential(
            nn.Linear(sizes.hidden_size, head_size),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(head_size, len(LABELS)),
        )

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        logits: Tensor = self.head(first_token(self.encoder, input_ids, attention_mask))
        return logits


def first_token(encoder: TextEncoder, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """What ``encoder(input_ids, attention_mask)[:, 0]`` gives, (B, d_t), for less.

    Of the last layer the other tokens are needed as keys and values only: with four layers that
    saves a fifth of a step.
    """
    bert = encoder.bert
    weights = bert.embeddings.word_embeddings.weight
    mask = ((1 - attention_mask).to(weights.dtype) * MASKED_SCORE)[:, None, None, :]
    hidden = bert.embeddings(input_ids=input_ids)
    *layers, last = bert.encoder.layer
    for layer in layers:
        output = layer(hidden, mask)
        # transformers before release 5 gives a tuple.
        hidden = output[0] if isinstance(output, tuple) else output
    first = hidden[:, :1]
    attention = last.attention.self
    query, key, value = (
        part(tokens).unflatten(2, (attention.num_attention_heads, -1)).transpose(1, 2)
        for part, tokens in (
            (attention.query, first),
            (attention.key, hidden),
            (attention.value, hidden),
        )
    )
    dropout = attention.dropout.p if attention.training else 0.0
    context = F.scaled_dot_product_attention(query, key, value, mask, dropout)
    attended = last.attention.output(context.transpose(1, 2).flatten(2), first)
    vector: Tensor = last.output(last.intermediate(attended), attended)[:, 0]
    return vector
