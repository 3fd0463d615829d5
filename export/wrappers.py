"""The four graphs as modules around the untouched model, and how each is traced.

uint8 faces and raw waveforms go in: face normalisation and log-mel are part of the graphs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from export.graphs import GraphPlan
from mer_edge.model.config import ModelConfig
from mer_edge.model.mer import MerModel
from mer_edge.model.sem import TextGuide
from mer_edge.segments import FACE_SIZE_PX, SEGMENT_SAMPLES

# Sizes of the traced example. None is 0 or 1, which the exporter would take for constants, and
# no two are equal, so that no dimension can pass for another.
EXAMPLE_BATCH = 2
EXAMPLE_SEGMENTS = 3
EXAMPLE_TOKENS = 5
EXAMPLE_CLIP_SEGMENTS = 4


class TextGraph(nn.Module):
    """input_ids, attention_mask (B, L) int64 -> text (B, d_t) [, tokens (B, L, d_t)]."""

    def __init__(self, text_encoder: nn.Module, with_tokens: bool) -> None:
        super().__init__()
        self.text_encoder = text_encoder
        self.with_tokens = with_tokens

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        hidden: Tensor = self.text_encoder(input_ids, attention_mask)
        vector = hidden[:, 0]
        return (vector, hidden) if self.with_tokens else vector


class PlainEncoder(nn.Module):
    """An encoder without SEMs: signal (S, ...) -> features (S, size)."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, signal: Tensor) -> Tensor:
        features: Tensor = self.encoder(signal, TextGuide(None))
        return features


class VectorGuidedEncoder(nn.Module):
    """An encoder whose SEMs see one vector: signal (S, ...), text (S, d_t) -> (S, size)."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, signal: Tensor, text: Tensor) -> Tensor:
        features: Tensor = self.encoder(signal, TextGuide(text))
        return features


class TokenGuidedEncoder(nn.Module):
    """An encoder whose SEMs see the tokens.

    signal (S, ...), tokens (S, L, d_t), token_mask (S, L) bool -> (S, size).
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, signal: Tensor, tokens: Tensor, token_mask: Tensor) -> Tensor:
        features: Tensor = self.encoder(signal, TextGuide(None, tokens, token_mask))
        return features


class FusionGraph(nn.Module):
    """Features, text and masks -> logits (B, M), decisions (B, 3, M), weights (B, 3)."""

    def __init__(self, fusion: nn.Module) -> None:
        super().__init__()
        self.fusion = fusion

    def forward(
        self,
        audio: Tensor,
        visual: Tensor,
        text: Tensor,
        audio_mask: Tensor,
        visual_mask: Tensor,
        text_mask: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        fused = self.fusion(audio, visual, text, audio_mask, visual_mask, text_mask)
        return fused.logits, fused.decisions, fused.weights


def plan_graphs(model: MerModel) -> dict[str, GraphPlan]:
    """The four graphs of ``model`` in the order they run, for ``write_graph``."""
    config = model.config
    plans = (
        _plan_text(model),
        _plan_encoder(
            "audio",
            model.vggish,
            "waveform",
            torch.zeros(EXAMPLE_SEGMENTS, SEGMENT_SAMPLES),
            config,
            bool(config.audio_sem_positions),
        ),
        _plan_encoder(
            "visual",
            model.resnet,
            "faces",
            torch.zeros(EXAMPLE_SEGMENTS, FACE_SIZE_PX, FACE_SIZE_PX, 3, dtype=torch.uint8),
            config,
            bool(config.visual_sem_positions),
        ),
        _plan_fusion(model),
    )
    return {plan.name: plan for plan in plans}


def _plan_text(model: MerModel) -> GraphPlan:
    config = model.config
    has_sem = bool(config.audio_sem_positions or config.visual_sem_positions)
    with_tokens = has_sem and config.sem_attention == "tokens"
    shape = (EXAMPLE_BATCH, EXAMPLE_TOKENS)
    dynamic = {0: "batch", 1: "tokens"}
    return GraphPlan(
        name="text",
        module=TextGraph(model.text_encoder, with_tokens),
        example={
            "input_ids": torch.ones(shape, dtype=torch.int64),
            "attention_mask": torch.ones(shape, dtype=torch.int64),
        },
        dynamic={"input_ids": dynamic, "attention_mask": dynamic},
        outputs=("text", "tokens") if with_tokens else ("text",),
    )


def _plan_encoder(
    name: str, encoder: nn.Module, signal: str, example: Tensor, config: ModelConfig, guided: bool
) -> GraphPlan:
    segments = {0: "segments"}
    size = config.text.hidden_size
    module: nn.Module
    guide: dict[str, Tensor] = {}
    dynamic: dict[str, dict[int, str]] = {}
    if not guided:
        module = PlainEncoder(encoder)
    elif config.sem_attention == "tokens":
        module = TokenGuidedEncoder(encoder)
        guide["tokens"] = torch.zeros(EXAMPLE_SEGMENTS, EXAMPLE_TOKENS, size)
        guide["token_mask"] = torch.ones(EXAMPLE_SEGMENTS, EXAMPLE_TOKENS, dtype=torch.bool)
        dynamic = {key: {**segments, 1: "tokens"} for key in guide}
    else:
        module = VectorGuidedEncoder(encoder)
        guide["text"] = torch.zeros(EXAMPLE_SEGMENTS, size)
        dynamic = {"text": segments}
    return GraphPlan(
        name, module, {signal: example, **guide}, {signal: segments, **dynamic}, (name,)
    )


def _plan_fusion(model: MerModel) -> GraphPlan:
    config = model.config
    clip = {0: "batch"}
    segment = {0: "batch", 1: "clip_segments"}
    batch, count = EXAMPLE_BATCH, EXAMPLE_CLIP_SEGMENTS
    return GraphPlan(
        name="fusion",
        module=FusionGraph(model.fusion),
        example={
            "audio": torch.zeros(batch, count, config.audio.embedding_size),
            "visual": torch.zeros(batch, count, config.visual.embedding_size),
            "text": torch.zeros(batch, config.text.hidden_size),
            "audio_mask": torch.ones(batch, count, dtype=torch.bool),
            "visual_mask": torch.ones(batch, count, dtype=torch.bool),
            "text_mask": torch.ones(batch, dtype=torch.bool),
        },
        dynamic={
            "audio": segment,
            "visual": segment,
            "text": clip,
            "audio_mask": segment,
            "visual_mask": segment,
            "text_mask": clip,
        },
        outputs=("logits", "decisions", "weights"),
    )
