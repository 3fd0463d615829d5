"""Small random models and batches for the model's tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mer_edge.model.build import build_model
from mer_edge.model.config import TINY, ModelConfig
from mer_edge.model.mer import MerModel, ModelBatch
from mer_edge.segments import FACE_SIZE_PX, SEGMENT_SAMPLES


def tiny_model(config: ModelConfig = TINY, seed: int = 0, **changes: Any) -> MerModel:
    """A random tiny model in evaluation mode."""
    model, _ = build_model(replace(config, **changes), seed=seed)
    return model.eval()


def random_batch(clips: int = 2, segments: int = 3, tokens: int = 6, seed: int = 1) -> ModelBatch:
    """Everything present, noise for sound and faces."""
    generator = torch.Generator().manual_seed(seed)

    def whole(low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, shape, generator=generator)

    faces = whole(0, 256, clips, segments, FACE_SIZE_PX, FACE_SIZE_PX, 3).to(torch.uint8)
    return ModelBatch(
        input_ids=whole(1, TINY.text.vocab_size, clips, tokens),
        attention_mask=torch.ones(clips, tokens, dtype=torch.int64),
        waveform=0.1 * torch.randn(clips, segments, SEGMENT_SAMPLES, generator=generator),
        faces=faces,
        audio_mask=torch.ones(clips, segments, dtype=torch.bool),
        visual_mask=torch.ones(clips, segments, dtype=torch.bool),
        text_mask=torch.ones(clips, dtype=torch.bool),
    )


def parameter_count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
