"""Rewrites of a traced graph that keep what it computes and save time or bytes."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from export.rewrites.attention import fuse_attention
from export.rewrites.channels_last import keep_channels_last
from export.rewrites.first_token import narrow_to_first_token
from export.rewrites.linear_pairs import fold_linear_pairs
from export.rewrites.winograd import convolve_by_winograd

Table = dict[str, tuple[tuple[str, ...], Callable[[ir.Model], int]]]
_REWRITES: Table = {
    "first-token": (("text",), narrow_to_first_token),
    "linear-pairs": (("audio", "visual"), fold_linear_pairs),
    "channels-last": (("audio", "visual"), keep_channels_last),
}
"""By the name that the manifest gives each: the graphs that gain by it, and what changes them in
place and tells at how many places."""
_CPU_INT8_REWRITES: Table = {"attention": (("text",), fuse_attention)}
"""Of graphs that are to have eight bits on the CPU. What other engines are to read, too, stays at
an opset that all of them know."""
_CPU_FP32_REWRITES: Table = {
    "winograd": (("audio", "visual_stem", "visual"), convolve_by_winograd),
}
"""Of fp32 graphs that the CPU runs: eight bits and GPUs have faster convolutions of their own."""


def apply_rewrites(name: str, proto: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """The graph ``name`` with every rewrite that finds something to do in it.

    For fp32 graphs as they come from tracing, before their precision is changed. Inputs, outputs
    and the model's metadata stay.

    Returns:
        The graph, which is ``proto`` itself if nothing was found, and what was applied.
    """
    return _apply(_REWRITES, name, proto)


def apply_cpu_int8_rewrites(name: str, proto: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """What only a graph gains by that is to have eight bits on the CPU; after ``apply_rewrites``,
    before the precision is changed, and like it."""
    return _apply(_CPU_INT8_REWRITES, name, proto)


def apply_cpu_fp32_rewrites(name: str, proto: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """What only an fp32 graph for the CPU gains by; after ``apply_rewrites``, and like it."""
    return _apply(_CPU_FP32_REWRITES, name, proto)


def _apply(table: Table, name: str, proto: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    candidates = {k: rewrite for k, (graphs, rewrite) in table.items() if name in graphs}
    if not candidates:
        return proto, []
    model = ir.from_proto(proto)
    applied = [rewrite for rewrite, run in candidates.items() if run(model)]
    if not applied:
        return proto, []
    RemoveUnusedNodesPass()(model)
    return ir.to_proto(model), applied
