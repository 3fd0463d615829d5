"""A text layer's attention as one operator.

Traced, softmax(s Q K^T + mask) V (Vaswani et al. 2017, equation 1) is a dozen operators, half of
which only move the heads about. ONNX has had ``Attention`` since opset 23; an engine that has a
kernel for it, as ONNX Runtime has since 1.23, moves nothing.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
from onnxscript.rewriter.pattern import RewriteRule, RewriteRuleSet

OPSET, IR_VERSION = 23, 11
"""The first that have ``Attention``."""
_BY_HEAD, _BY_HEAD_TRANSPOSED = [0, 2, 1, 3], [0, 2, 3, 1]


def fuse_attention(model: ir.Model) -> int:
    """Put an ``Attention`` in the place of every group that computes one; their number.

    What only gave the shapes of what is gone is left to the caller. The model's opset becomes 23
    where something was found.
    """
    fused = RewriteRuleSet([RewriteRule(_traced, _as_one_operator, _is_attention)]).apply_to_model(
        model
    )
    if fused:
        model.opset_imports[""] = OPSET
        model.ir_version = max(IR_VERSION, model.ir_version)
    return int(fused)


def _traced(
    op: Any, q: Any, k: Any, v: Any, mask: Any, scale: Any, qs: Any, ks: Any, vs: Any, joined: Any
) -> Any:
    """Q is (B, S, heads * d), K and V are (B, T, heads * d), the mask (B, 1, 1, T)."""

    def by_head(data: Any, sizes: Any, name: str, order: list[int]) -> Any:
        heads = op.Reshape(data, sizes, _allow_other_attributes=True, _outputs=[name])
        return op.Transpose(heads, perm=order)

    queries = by_head(q, qs, "q_heads", _BY_HEAD)
    keys = by_head(k, ks, "k_heads", _BY_HEAD_TRANSPOSED)
    values = by_head(v, vs, "v_heads", _BY_HEAD)
    scores = op.Add(op.Mul(op.MatMul(queries, keys), scale), mask)
    mixed = op.Transpose(op.MatMul(op.Softmax(scores, axis=-1), values), perm=_BY_HEAD)
    return op.Reshape(mixed, joined, _allow_other_attributes=True)


def _is_attention(
    context: Any,
    scale: ir.Value,
    q_heads: ir.Value,
    k_heads: ir.Value,
    v_heads: ir.Value,
    **_: Any,
) -> bool:
    heads = {_heads(value) for value in (q_heads, k_heads, v_heads)}
    known = len(heads) == 1 and heads != {None}
    return known and ir.convenience.get_const_tensor(scale) is not None


def _as_one_operator(
    op: Any,
    q: ir.Value,
    k: ir.Value,
    v: ir.Value,
    mask: ir.Value,
    scale: ir.Value,
    q_heads: ir.Value,
    **_: Any,
) -> ir.Value:
    factor = ir.convenience.get_const_tensor(scale)
    assert factor is not None
    one = op.Constant(value_ints=[1])
    # The operator repeats a mask for clips and heads, but wants a row of it for each of Q's.
    rows = op.Concat(one, one, op.Shape(q, start=1, end=2), one, axis=0)
    heads = _heads(q_heads)
    attention: ir.Value = op.Attention(
        q,
        k,
        v,
        op.Expand(mask, rows),
        q_num_heads=heads,
        kv_num_heads=heads,
        scale=float(factor.numpy()),
    )
    return attention


def _heads(split: ir.Value) -> int | None:
    """Of a value (B, S, heads, d); None where it is not known."""
    if split.shape is None or len(split.shape) != 4:
        return None
    heads = split.shape[2]
    return heads if isinstance(heads, int) else None
