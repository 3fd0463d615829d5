"""The features of segments at the stages of the network: what t-SNE pictures are drawn of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mer_edge.model.batch import ModelBatch

if TYPE_CHECKING:
    from mer_edge.model.mer import MerModel


def segment_features(model: MerModel, batch: ModelBatch) -> dict[str, Tensor]:
    """Features of the N segments of B clips, without gradients, in evaluation mode.

    Returns:
        As far as the variant has the stage, for ``audio`` (and ``visual`` likewise):
        ``audio_before`` (B, N, a), the encoder's output with its SEMs switched off;
        ``audio_sem`` (B, N, a), with them; ``audio_mbt`` (B, N, d_m), behind the cross-modal
        encoder. ``batch.audio_mask`` says which segments are there; the others mean nothing.
    """
    config, training = model.config, model.training
    try:
        model.eval()
        with torch.no_grad():
            with _without_sems(model):
                audio, visual, *_ = model.encode_segments(batch)
            found = {"audio_before": audio, "visual_before": visual}
            audio, visual, audio_mask, visual_mask = model.encode_segments(batch)
            if config.audio_sem_positions:
                found["audio_sem"] = audio
            if config.visual_sem_positions:
                found["visual_sem"] = visual
            if config.cross_modal != "none":
                encoded = model.fusion.encode(audio, visual, audio_mask, visual_mask)
                found["audio_mbt"], found["visual_mbt"] = encoded[:2]
    finally:
        model.train(training)
    return {name: tensor for name, tensor in found.items() if tensor is not None}


@contextmanager
def _without_sems(model: MerModel) -> Iterator[None]:
    encoders = [encoder for encoder in (model.vggish, model.resnet) if encoder is not None]
    before = [encoder.sems for encoder in encoders]
    try:
        for encoder in encoders:
            encoder.sems = nn.ModuleDict()
        yield
    finally:
        for encoder, sems in zip(encoders, before, strict=True):
            encoder.sems = sems
