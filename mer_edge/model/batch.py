"""What goes into the network at once, and what it knows of the text in it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass
class ModelBatch:
    """B clips of up to N segments and up to L tokens; shorter ones are padded and masked."""

    input_ids: Tensor
    """(B, L) int64"""
    attention_mask: Tensor
    """(B, L) int64, 1 for tokens, 0 for padding"""
    waveform: Tensor
    """(B, N, 15600) float32, 16 kHz in [-1, 1]"""
    faces: Tensor
    """(B, N, 224, 224, 3) uint8, RGB"""
    audio_mask: Tensor
    """(B, N) bool, true where a segment has sound"""
    visual_mask: Tensor
    """(B, N) bool, true where a segment has a face"""
    text_mask: Tensor
    """(B,) bool, true where a clip has text"""

    def to(self, device: torch.device | str) -> ModelBatch:
        """A copy of the batch on ``device``."""
        return ModelBatch(
            **{field.name: getattr(self, field.name).to(device) for field in fields(self)}
        )


class TextFeatures(NamedTuple):
    """What the model knows of the text of B clips."""

    vector: Tensor
    """(B, d_t): I_t, the output of [CLS]"""
    tokens: Tensor
    """(B, L, d_t): the outputs of all tokens, for SEMs of form ``tokens``"""
    token_mask: Tensor
    """(B, L) bool"""
