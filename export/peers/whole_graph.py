"""The whole network as one ONNX graph, as somebody would export it who exports a model.

One clip of S segments and L tokens; what is absent runs as well and is masked, because a graph has
no choice.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from export.graphs import GraphPlan, write_graph
from mer_edge.bundle import FUSED
from mer_edge.model.mer import MerModel
from mer_edge.model.sem import TextGuide
from mer_edge.segments import FACE_SIZE_PX, SEGMENT_SAMPLES

EXAMPLE_SEGMENTS, EXAMPLE_TOKENS = 3, 5


class WholeGraph(nn.Module):
    """Signals of one clip -> logits (1, M), decisions (1, 3, M), weights (1, 3)."""

    def __init__(self, model: MerModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        text_mask: Tensor | None = None,
        waveform: Tensor | None = None,
        audio_mask: Tensor | None = None,
        faces: Tensor | None = None,
        visual_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Ids and mask (1, L), text_mask (1,), signals (S, ...), their masks (1, S)."""
        model = self.model
        hidden = self._hidden(input_ids, attention_mask, text_mask)
        features: list[Tensor | None] = []
        for encoder, signal, mask in (
            (model.vggish, waveform, audio_mask),
            (model.resnet, faces, visual_mask),
        ):
            if encoder is None or signal is None or mask is None:
                features.append(None)
                continue
            rows = encoder(signal, self._guide(hidden, attention_mask, len(signal)))
            features.append(rows.unsqueeze(0) * mask.unsqueeze(-1))
        vector = None if hidden is None or "text" not in model.config.modalities else hidden[:, 0]
        fused = model.fuse(
            features[0],
            features[1],
            vector,
            audio_mask,
            visual_mask,
            None if vector is None else text_mask,
        )
        return fused.logits, fused.decisions, fused.weights

    def _hidden(
        self, ids: Tensor | None, attention_mask: Tensor | None, text_mask: Tensor | None
    ) -> Tensor | None:
        """The text encoder's output (1, L, d_t), the learned stand-in where there is no text."""
        encoder, absent = self.model.text_encoder, self.model.absent_text
        if encoder is None or absent is None or text_mask is None:
            return None
        hidden: Tensor = encoder(ids, attention_mask)
        return torch.where(text_mask[:, None, None], hidden, absent)

    def _guide(self, hidden: Tensor | None, mask: Tensor | None, segments: int) -> TextGuide:
        if hidden is None:
            return TextGuide(None)
        if self.model.config.sem_attention != "tokens":
            return TextGuide(hidden[:, 0].expand(segments, -1))
        assert mask is not None
        return TextGuide(None, hidden.expand(segments, -1, -1), (mask != 0).expand(segments, -1))


def write_whole_graph(model: MerModel, file: Path) -> None:
    """Trace the network and write it to ``file``, weights inside.

    Raises:
        MerEdgeError: it is too large for one ONNX file.
    """
    config = model.config
    example: dict[str, Tensor] = {}
    dynamic: dict[str, dict[int, str]] = {}
    if config.uses_text:
        ids = torch.zeros(1, EXAMPLE_TOKENS, dtype=torch.int64)
        example |= {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        example["text_mask"] = torch.ones(1, dtype=torch.bool)
        dynamic |= {"input_ids": {1: "tokens"}, "attention_mask": {1: "tokens"}, "text_mask": {}}
    mask = torch.ones(1, EXAMPLE_SEGMENTS, dtype=torch.bool)
    if config.has_audio:
        example |= {"waveform": torch.zeros(EXAMPLE_SEGMENTS, SEGMENT_SAMPLES)}
        example["audio_mask"] = mask
        dynamic |= {"waveform": {0: "segments"}, "audio_mask": {1: "segments"}}
    if config.has_visual:
        size = (EXAMPLE_SEGMENTS, FACE_SIZE_PX, FACE_SIZE_PX, 3)
        example |= {"faces": torch.zeros(size, dtype=torch.uint8), "visual_mask": mask.clone()}
        dynamic |= {"faces": {0: "segments"}, "visual_mask": {1: "segments"}}
    plan = GraphPlan("whole", WholeGraph(model).eval(), example, dynamic, FUSED)
    write_graph(plan, file, {})
