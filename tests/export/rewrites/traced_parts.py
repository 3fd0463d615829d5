"""Parts of the network as they come from tracing, small, with weights that are nowhere zero."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import torch
from torch import Tensor, nn

from export.wrappers import TextGraph
from mer_edge.model.config import TextSizes
from mer_edge.model.sem import SemanticEnhancement, TextGuide
from mer_edge.model.text import TextEncoder

CHANNELS, TEXT_SIZE = 12, 20


class Sem(nn.Module):
    """A SEM on a map, as the encoders call it."""

    def __init__(self, form: Any) -> None:
        super().__init__()
        self.sem = SemanticEnhancement(CHANNELS, TEXT_SIZE, form)

    def forward(self, map: Tensor, text: Tensor, token_mask: Tensor | None = None) -> Tensor:
        if token_mask is None:
            return self.sem(map, TextGuide(text))
        return self.sem(map, TextGuide(None, text, token_mask))


def trace(
    module: nn.Module, example: dict[str, Tensor], dynamic: dict[str, Any]
) -> onnx.ModelProto:
    generator = torch.Generator().manual_seed(3)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    program = torch.onnx.export(
        module.eval(),
        kwargs=example,
        input_names=list(example),
        dynamic_shapes=dynamic,
        opset_version=20,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    return ir.to_proto(program.model)


@functools.cache
def traced_sem(form: str) -> onnx.ModelProto:
    """A SEM of the form: ``map`` (segments, 12, 3, 4), ``text`` (segments, 20) -> a map."""
    example = {"map": torch.zeros(2, CHANNELS, 3, 4), "text": torch.zeros(2, TEXT_SIZE)}
    dynamic: dict[str, Any] = {"map": {0: "segments"}, "text": {0: "segments"}}
    if form == "tokens":
        example |= {
            "text": torch.zeros(2, 5, TEXT_SIZE),
            "token_mask": torch.ones(2, 5, dtype=torch.bool),
        }
        dynamic["text"] = dynamic["token_mask"] = {0: "segments", 1: "tokens"}
    return trace(Sem(form), example, dynamic)


@functools.cache
def traced_text(with_tokens: bool) -> onnx.ModelProto:
    """Two layers of BERT; ``with_tokens``: all tokens are an output, too."""
    sizes = TextSizes(64, 16, 2, 4, 24, max_position_embeddings=32)
    names = ("input_ids", "attention_mask")
    example = {name: torch.ones(2, 5, dtype=torch.int64) for name in names}
    dynamic = {name: {0: "batch", 1: "tokens"} for name in names}
    return trace(TextGraph(TextEncoder(sizes, dropout=0.0), with_tokens), example, dynamic)


def run(proto: onnx.ModelProto, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs on ONNX Runtime, which is told to leave the graph as it is."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    content = proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return session.run(None, feed)


def operators(proto: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in proto.graph.node]
