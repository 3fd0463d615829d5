"""The graphs as modules around the untouched model, and how each is traced: text, audio, the two
halves of the visual encoder and fusion, as far as the variant has them.

uint8 faces and raw waveforms go in: face normalisation and log-mel are part of the graphs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from export.graphs import GraphPlan
from mer_edge.bundle import FUSED, MAPS, STEMS
from mer_edge.model.config import ModelConfig
from mer_edge.model.mer import MerModel
from mer_edge.model.resnet import VisualEncoder
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


class Encoder(nn.Module):
    """An encoder and what its SEMs see of the text, if it has any.

    ``waveform`` or ``faces`` (S, ...); then nothing, ``text`` (S, d_t), or ``tokens`` (S, L, d_t)
    with ``token_mask`` (S, L) bool -> features (S, size).
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self,
        waveform: Tensor | None = None,
        faces: Tensor | None = None,
        text: Tensor | None = None,
        tokens: Tensor | None = None,
        token_mask: Tensor | None = None,
    ) -> Tensor:
        signal = faces if waveform is None else waveform
        features: Tensor = self.encoder(signal, TextGuide(text, tokens, token_mask))
        return features


class VisualStem(nn.Module):
    """faces (S, 224, 224, 3) uint8 -> visual_map (S, H, W, C): all that needs no text.

    Channels last, as the SEM that comes next looks at it and as INT8 kernels keep it.
    """

    def __init__(self, encoder: VisualEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, faces: Tensor) -> Tensor:
        return self.encoder.stem(faces).permute(0, 2, 3, 1)


class VisualTail(nn.Module):
    """visual_map (S, H, W, C) and what the SEMs see of the text -> features (S, size)."""

    def __init__(self, encoder: VisualEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self,
        visual_map: Tensor,
        text: Tensor | None = None,
        tokens: Tensor | None = None,
        token_mask: Tensor | None = None,
    ) -> Tensor:
        return self.encoder.tail(
            visual_map.permute(0, 3, 1, 2), TextGuide(text, tokens, token_mask)
        )


class FusionGraph(nn.Module):
    """Features, text and masks -> logits (B, M), decisions (B, 3, M), weights (B, 3).

    Of a modality without a decision there are no inputs.
    """

    def __init__(self, fusion: nn.Module) -> None:
        super().__init__()
        self.fusion = fusion

    def forward(
        self,
        audio: Tensor | None = None,
        visual: Tensor | None = None,
        text: Tensor | None = None,
        audio_mask: Tensor | None = None,
        visual_mask: Tensor | None = None,
        text_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        fused = self.fusion(audio, visual, text, audio_mask, visual_mask, text_mask)
        return fused.logits, fused.decisions, fused.weights


def plan_graphs(model: MerModel) -> dict[str, GraphPlan]:
    """The graphs of ``model`` in the order they run, for ``write_graph``."""
    config = model.config
    plans = []
    if model.text_encoder is not None:
        plans.append(_plan_text(model.text_encoder, config))
    if model.vggish is not None:
        waveform = torch.zeros(EXAMPLE_SEGMENTS, SEGMENT_SAMPLES)
        guide = _guide_of(config, config.audio_sem_positions)
        plans.append(_plan_encoder("audio", Encoder(model.vggish), {"waveform": waveform, **guide}))
    if model.resnet is not None:
        plans += _plan_visual(model.resnet, _guide_of(config, config.visual_sem_positions))
    plans.append(_plan_fusion(model))
    return {plan.name: plan for plan in plans}


def _plan_text(encoder: nn.Module, config: ModelConfig) -> GraphPlan:
    with_tokens = config.has_sem and config.sem_attention == "tokens"
    shape = (EXAMPLE_BATCH, EXAMPLE_TOKENS)
    dynamic = {0: "batch", 1: "tokens"}
    return GraphPlan(
        name="text",
        module=TextGraph(encoder, with_tokens),
        example={
            "input_ids": torch.ones(shape, dtype=torch.int64),
            "attention_mask": torch.ones(shape, dtype=torch.int64),
        },
        dynamic={"input_ids": dynamic, "attention_mask": dynamic},
        outputs=("text", "tokens") if with_tokens else ("text",),
    )


def _guide_of(config: ModelConfig, sem_positions: tuple[int, ...]) -> dict[str, Tensor]:
    """What an encoder with SEMs at these positions takes of the text."""
    size = config.text.hidden_size
    if not sem_positions:
        return {}
    if config.sem_attention == "tokens":
        shape = (EXAMPLE_SEGMENTS, EXAMPLE_TOKENS)
        tokens = torch.zeros(*shape, size)
        return {"tokens": tokens, "token_mask": torch.ones(shape, dtype=torch.bool)}
    return {"text": torch.zeros(EXAMPLE_SEGMENTS, size)}


def _plan_visual(encoder: VisualEncoder, guide: dict[str, Tensor]) -> list[GraphPlan]:
    """Two graphs where text guides the encoder, so that the first need not wait for the text and
    outlives a change of it. It is half of the work (docs/rewrites.md); of the audio encoder, where
    it would be a seventh, there is one."""
    shape = (EXAMPLE_SEGMENTS, FACE_SIZE_PX, FACE_SIZE_PX, 3)
    faces = torch.zeros(shape, dtype=torch.uint8)
    if not guide:
        return [_plan_encoder("visual", Encoder(encoder), {"faces": faces})]
    name, given = STEMS["visual"], MAPS["visual"]
    half = VisualStem(encoder.eval())
    with torch.no_grad():
        stem_map = half(faces)
    stem = GraphPlan(name, half, {"faces": faces}, {"faces": {0: "segments"}}, (given,))
    return [stem, _plan_encoder("visual", VisualTail(encoder), {given: stem_map, **guide})]


def _plan_encoder(name: str, module: nn.Module, example: dict[str, Tensor]) -> GraphPlan:
    tokens = ("tokens", "token_mask")
    dynamic = {
        key: {0: "segments", 1: "tokens"} if key in tokens else {0: "segments"} for key in example
    }
    return GraphPlan(name, module, example, dynamic, (name,))


def _plan_fusion(model: MerModel) -> GraphPlan:
    config = model.config
    segments = {0: "batch", 1: "clip_segments"}
    batch, shape = EXAMPLE_BATCH, (EXAMPLE_BATCH, EXAMPLE_CLIP_SEGMENTS)
    features = {
        "audio": (torch.zeros(*shape, config.audio.embedding_size), segments),
        "visual": (torch.zeros(*shape, config.visual.embedding_size), segments),
        "text": (torch.zeros(batch, config.text.hidden_size), {0: "batch"}),
    }
    masks = {
        "audio": (torch.ones(shape, dtype=torch.bool), segments),
        "visual": (torch.ones(shape, dtype=torch.bool), segments),
        "text": (torch.ones(batch, dtype=torch.bool), {0: "batch"}),
    }
    inputs = {name: features[name] for name in config.modalities}
    inputs |= {f"{name}_mask": masks[name] for name in config.modalities}
    return GraphPlan(
        name="fusion",
        module=FusionGraph(model.fusion),
        example={name: tensor for name, (tensor, _) in inputs.items()},
        dynamic={name: sizes for name, (_, sizes) in inputs.items()},
        outputs=FUSED,
    )
