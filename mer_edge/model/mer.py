"""MER-SEM-MBT: text guides the audio and visual encoders, which meet in the bottleneck."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mer_edge.model.config import AUDIO_GROUPS, VISUAL_GROUPS, ModelConfig
from mer_edge.model.fusion import Fused, FusionHead
from mer_edge.model.resnet import VisualEncoder
from mer_edge.model.sem import TextGuide
from mer_edge.model.text import TextEncoder
from mer_edge.model.vggish import AudioEncoder


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


class ParameterGroups(NamedTuple):
    """The parameters by how they are to be trained (the paper's section 4.2)."""

    frozen: list[nn.Parameter]
    """The first groups of the two backbones."""
    backbone: list[nn.Parameter]
    """The rest of VGGish and ResNet: a smaller learning rate."""
    other: list[nn.Parameter]
    """Everything else: text encoder, SEMs, bottleneck transformer, decisions, absent vectors."""


class MerModel(nn.Module):
    """The network. Initialised at random from torch's current seed."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        text_size, form = config.text.hidden_size, config.sem_attention
        self.text_encoder = TextEncoder(config.text, config.dropout)
        self.vggish = AudioEncoder(config.audio, text_size, config.audio_sem_positions, form)
        self.resnet = VisualEncoder(config.visual, text_size, config.visual_sem_positions, form)
        self.fusion = FusionHead(config)
        self.absent_text = nn.Parameter(torch.empty(text_size))
        nn.init.trunc_normal_(self.absent_text, std=0.02)
        self._frozen_groups = (0, 0)

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor) -> TextFeatures:
        """Token ids (B, L) and mask (B, L), int64."""
        hidden = self.text_encoder(input_ids, attention_mask)
        return TextFeatures(hidden[:, 0], hidden, attention_mask != 0)

    def encode_audio(self, waveform: Tensor, text: TextGuide | Tensor) -> Tensor:
        """S segments (S, 15600) and the text of their clips -> (S, a)."""
        features: Tensor = self.vggish(waveform, _guide(text))
        return features

    def encode_visual(self, faces: Tensor, text: TextGuide | Tensor) -> Tensor:
        """S faces (S, 224, 224, 3) uint8 and the text of their clips -> (S, v)."""
        features: Tensor = self.resnet(faces, _guide(text))
        return features

    def fuse(
        self,
        audio: Tensor,
        visual: Tensor,
        text: Tensor,
        audio_mask: Tensor,
        visual_mask: Tensor,
        text_mask: Tensor,
    ) -> Fused:
        """See :meth:`FusionHead.forward`; ``text`` holds ``absent_text`` where there is none."""
        fused: Fused = self.fusion(audio, visual, text, audio_mask, visual_mask, text_mask)
        return fused

    def forward(self, batch: ModelBatch) -> Fused:
        """Decide on B clips; only what is there is computed, so BatchNorm sees real faces only."""
        text = self._text_or_absent(batch)
        audio_mask, visual_mask = batch.audio_mask, batch.visual_mask
        audio = batch.waveform.new_zeros(*audio_mask.shape, self.config.audio.embedding_size)
        visual = batch.waveform.new_zeros(*visual_mask.shape, self.config.visual.embedding_size)
        if audio_mask.any():
            guide = self._segment_guide(text, audio_mask)
            audio[audio_mask] = self.encode_audio(batch.waveform[audio_mask], guide).to(audio)
        if visual_mask.any():
            guide = self._segment_guide(text, visual_mask)
            visual[visual_mask] = self.encode_visual(batch.faces[visual_mask], guide).to(visual)
        return self.fuse(audio, visual, text.vector, audio_mask, visual_mask, batch.text_mask)

    def _text_or_absent(self, batch: ModelBatch) -> TextFeatures:
        """Text of every clip; one token, ``absent_text``, where a clip has none."""
        present = batch.text_mask
        tokens = self.absent_text.expand(*batch.input_ids.shape, -1).clone()  # (B, L, d_t)
        token_mask = torch.zeros_like(batch.input_ids, dtype=torch.bool)
        token_mask[:, 0] = True
        if present.any():
            found = self.encode_text(batch.input_ids[present], batch.attention_mask[present])
            tokens[present] = found.tokens.to(tokens)
            token_mask[present] = found.token_mask
        return TextFeatures(tokens[:, 0], tokens, token_mask)

    def _segment_guide(self, text: TextFeatures, mask: Tensor) -> TextGuide:
        """The text of each present segment's clip."""
        clip = mask.nonzero()[:, 0]  # (S,)
        if self.config.sem_attention == "tokens":
            return TextGuide(None, text.tokens[clip], text.token_mask[clip])
        return TextGuide(text.vector[clip])

    def freeze(self, audio_groups: int, visual_groups: int) -> None:
        """Freeze the first groups of VGGish (0 to 4) and of the ResNet (0 to 5).

        Their parameters need no gradient and their BatchNorm keeps its statistics; SEMs between
        them go on learning. The paper freezes 2 and 3.
        """
        for name, count, most in (
            ("audio_groups", audio_groups, AUDIO_GROUPS),
            ("visual_groups", visual_groups, VISUAL_GROUPS),
        ):
            if not 0 <= count <= most:
                raise ValueError(f"{name} is {count}; expected 0 to {most}")
        self._frozen_groups = (audio_groups, visual_groups)
        frozen = {id(p) for module in self._frozen_modules() for p in module.parameters()}
        for parameter in self._backbone_parameters():
            parameter.requires_grad_(id(parameter) not in frozen)
        self.train(self.training)

    def parameter_groups(self) -> ParameterGroups:
        """Every parameter in exactly one group, as :meth:`freeze` left them."""
        backbone = self._backbone_parameters()
        known = {id(parameter) for parameter in backbone}
        return ParameterGroups(
            frozen=[p for p in backbone if not p.requires_grad],
            backbone=[p for p in backbone if p.requires_grad],
            other=[p for p in self.parameters() if id(p) not in known],
        )

    def train(self, mode: bool = True) -> MerModel:
        """As :meth:`torch.nn.Module.train`, but frozen groups stay in evaluation mode."""
        super().train(mode)
        for module in self._frozen_modules():
            module.eval()
        return self

    def _frozen_modules(self) -> list[nn.Module]:
        audio_groups, visual_groups = self._frozen_groups
        return [
            *(self.vggish.backbone.group(number + 1) for number in range(audio_groups)),
            *(self.resnet.backbone.group(number + 1) for number in range(visual_groups)),
        ]

    def _backbone_parameters(self) -> list[nn.Parameter]:
        return [*self.vggish.backbone.parameters(), *self.resnet.backbone.parameters()]


def _guide(text: TextGuide | Tensor) -> TextGuide:
    return text if isinstance(text, TextGuide) else TextGuide(text)
