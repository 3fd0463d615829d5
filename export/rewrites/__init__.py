"""Rewrites of a traced graph that keep what it computes and save time or bytes."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from export.rewrites.first_token import narrow_to_first_token
from export.rewrites.linear_pairs import fold_linear_pairs

_REWRITES: dict[str, tuple[tuple[str, ...], Callable[[ir.Model], int]]] = {
    "first-token": (("text",), narrow_to_first_token),
    "linear-pairs": (("audio", "visual"), fold_linear_pairs),
}
"""By the name that the manifest gives each: the graphs that gain by it, and what changes them in
place and tells at how many places."""


def apply_rewrites(name: str, proto: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """The graph ``name`` with every rewrite that finds something to do in it.

    For fp32 graphs as they come from tracing, before their precision is changed. Inputs, outputs
    and the model's metadata stay.

    Returns:
        The graph, which is ``proto`` itself if nothing was found, and what was applied.
    """
    candidates = {k: rewrite for k, (graphs, rewrite) in _REWRITES.items() if name in graphs}
    if not candidates:
        return proto, []
    model = ir.from_proto(proto)
    applied = [rewrite for rewrite, run in candidates.items() if run(model)]
    if not applied:
        return proto, []
    RemoveUnusedNodesPass()(model)
    return ir.to_proto(model), applied
