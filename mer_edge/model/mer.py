"""MER-SEM-MBT and its variants: text guides the audio and visual encoders, which then meet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mer_edge.model.batch import ModelBatch, TextFeatures
from mer_edge.model.config import AUDIO_GROUPS, VISUAL_GROUPS, ModelConfig
from mer_edge.model.features import segment_features
from mer_edge.model.fusion import Fused, FusionHead
from mer_edge.model.resnet import VisualEncoder
from mer_edge.model.sem import TextGuide
from mer_edge.model.text import TextEncoder
from mer_edge.model.vggish import AudioEncoder
from mer_edge.segments import MODALITIES

__all__ = ["MerModel", "ModelBatch", "TextFeatures"]


class MerModel(nn.Module):
    """The network. Initialised at random from torch's current seed.

    Only what ``config`` uses is built: ``text_encoder``, ``vggish``, ``resnet`` and
    ``absent_text`` are None in a variant without them.
    """

    text_encoder: TextEncoder | None
    vggish: AudioEncoder | None
    resnet: VisualEncoder | None
    absent_text: nn.Parameter | None

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        text_size, form = config.text.hidden_size, config.sem_attention
        self.text_encoder = self.vggish = self.resnet = self.absent_text = None
        if config.uses_text:
            self.text_encoder = TextEncoder(config.text, config.dropout)
        if config.has_audio:
            self.vggish = AudioEncoder(config.audio, text_size, config.audio_sem_positions, form)
        if config.has_visual:
            self.resnet = VisualEncoder(config.visual, text_size, config.visual_sem_positions, form)
        self.fusion = FusionHead(config)
        if config.uses_text:
            self.absent_text = nn.Parameter(torch.empty(text_size))
            nn.init.trunc_normal_(self.absent_text, std=0.02)
        self._frozen_groups = (0, 0)

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor) -> TextFeatures:
        """Token ids (B, L) and mask (B, L), int64."""
        assert self.text_encoder is not None
        hidden = self.text_encoder(input_ids, attention_mask)
        return TextFeatures(hidden[:, 0], hidden, attention_mask != 0)

    def encode_audio(self, waveform: Tensor, text: TextGuide | Tensor) -> Tensor:
        """S segments (S, 15600) and the text of their clips -> (S, a)."""
        assert self.vggish is not None
        features: Tensor = self.vggish(waveform, _guide(text))
        return features

    def encode_visual(self, faces: Tensor, text: TextGuide | Tensor) -> Tensor:
        """S faces (S, 224, 224, 3) uint8 and the text of their clips -> (S, v)."""
        assert self.resnet is not None
        features: Tensor = self.resnet(faces, _guide(text))
        return features

    def fuse(
        self,
        audio: Tensor | None,
        visual: Tensor | None,
        text: Tensor | None,
        audio_mask: Tensor | None,
        visual_mask: Tensor | None,
        text_mask: Tensor | None,
    ) -> Fused:
        """See :meth:`FusionHead.forward`; ``text`` holds ``absent_text`` where there is none."""
        fused: Fused = self.fusion(audio, visual, text, audio_mask, visual_mask, text_mask)
        return fused

    def forward(self, batch: ModelBatch) -> Fused:
        """Decide on B clips; only what is there is computed, so BatchNorm sees real faces only."""
        config = self.config
        text = self._text_or_absent(batch) if config.uses_text else None
        audio, visual, audio_mask, visual_mask = self.encode_segments(batch, text)
        if text is None or "text" not in config.modalities:
            return self.fuse(audio, visual, None, audio_mask, visual_mask, None)
        return self.fuse(audio, visual, text.vector, audio_mask, visual_mask, batch.text_mask)

    def encode_segments(
        self, batch: ModelBatch, text: TextFeatures | None = None
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
        """Audio (B, N, a) and visual (B, N, v) features and their masks (B, N).

        Features are 0 where the mask is false; both are None for a modality that is not used.
        ``text`` is what the SEMs see; None: the batch's own text.
        """
        if text is None and self.config.has_sem:
            text = self._text_or_absent(batch)
        audio, audio_mask = self._audio(batch, text)
        visual, visual_mask = self._visual(batch, text)
        return audio, visual, audio_mask, visual_mask

    def present(self, batch: ModelBatch) -> Tensor:
        """Which clips have which modality, of those with a decision: (B, 3) bool.

        In the order audio, visual, text; false throughout for a modality that is not used.
        """
        there = {
            "audio": batch.audio_mask.any(1),
            "visual": batch.visual_mask.any(1),
            "text": batch.text_mask,
        }
        nothing = torch.zeros_like(batch.text_mask)
        used = self.config.modalities
        return torch.stack([there[name] if name in used else nothing for name in MODALITIES], dim=1)

    def features(self, batch: ModelBatch) -> dict[str, Tensor]:
        """What becomes of the segments on their way, for looking at: see ``model/features.py``."""
        return segment_features(self, batch)

    def set_gradient_checkpointing(self, on: bool) -> None:
        """Keep only the inputs of BERT's layers and the backbones' groups for the backward pass.

        What is inside them is computed once more then: memory is bought with time; the loss, the
        gradients and BatchNorm's statistics stay the same.
        """
        if self.text_encoder is not None:
            self.text_encoder.set_gradient_checkpointing(on)
        for encoder in (self.vggish, self.resnet):
            if encoder is not None:
                encoder.gradient_checkpointing = on

    def _audio(
        self, batch: ModelBatch, text: TextFeatures | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Features (B, N, a), zero where there is no sound, and where there is (B, N)."""
        if self.vggish is None:
            return None, None
        mask = batch.audio_mask
        features = torch.zeros(*mask.shape, self.config.audio.embedding_size, device=mask.device)
        if mask.any():
            guide = self._segment_guide(text, mask)
            features[mask] = self.encode_audio(batch.waveform[mask], guide).to(features)
        return features, mask

    def _visual(
        self, batch: ModelBatch, text: TextFeatures | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Features (B, N, v), zero where there is no face, and where there is (B, N)."""
        if self.resnet is None:
            return None, None
        mask = batch.visual_mask
        features = torch.zeros(*mask.shape, self.config.visual.embedding_size, device=mask.device)
        if mask.any():
            guide = self._segment_guide(text, mask)
            features[mask] = self.encode_visual(batch.faces[mask], guide).to(features)
        return features, mask

    def _text_or_absent(self, batch: ModelBatch) -> TextFeatures:
        """Text of every clip; one token, ``absent_text``, where a clip has none."""
        assert self.absent_text is not None
        present = batch.text_mask
        tokens = self.absent_text.expand(*batch.input_ids.shape, -1).clone()  # (B, L, d_t)
        token_mask = torch.zeros_like(batch.input_ids, dtype=torch.bool)
        token_mask[:, 0] = True
        if present.any():
            found = self.encode_text(batch.input_ids[present], batch.attention_mask[present])
            tokens[present] = found.tokens.to(tokens)
            token_mask[present] = found.token_mask
        return TextFeatures(tokens[:, 0], tokens, token_mask)

    def _segment_guide(self, text: TextFeatures | None, mask: Tensor) -> TextGuide:
        """The text of each present segment's clip."""
        if text is None:
            return TextGuide(None)
        clip = mask.nonzero()[:, 0]  # (S,)
        if self.config.sem_attention == "tokens":
            return TextGuide(None, text.tokens[clip], text.token_mask[clip])
        return TextGuide(text.vector[clip])

    def freeze(self, audio_groups: int, visual_groups: int) -> None:
        """Freeze the first groups of VGGish (0 to 4) and of the ResNet (0 to 5).

        Their parameters need no gradient and their BatchNorm keeps its statistics; SEMs between
        them go on learning. The paper freezes 2 and 3. An encoder that is not there has nothing
        to freeze.
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

    def train(self, mode: bool = True) -> MerModel:
        """As :meth:`torch.nn.Module.train`, but frozen groups stay in evaluation mode."""
        super().train(mode)
        for module in self._frozen_modules():
            module.eval()
        return self

    def _frozen_modules(self) -> list[nn.Module]:
        audio_groups, visual_groups = self._frozen_groups
        return [
            backbone.group(number + 1)
            for backbone, count in (
                (None if self.vggish is None else self.vggish.backbone, audio_groups),
                (None if self.resnet is None else self.resnet.backbone, visual_groups),
            )
            if backbone is not None
            for number in range(count)
        ]

    def _backbone_parameters(self) -> list[nn.Parameter]:
        encoders = [encoder for encoder in (self.vggish, self.resnet) if encoder is not None]
        return [p for encoder in encoders for p in encoder.backbone.parameters()]


def _guide(text: TextGuide | Tensor) -> TextGuide:
    return text if isinstance(text, TextGuide) else TextGuide(text)
