"""Where in a graph a difference begins: the values inside it against those of its fp32 original."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from export.runners import Tensors
from mer_edge.parity.comparison import Comparison, compare
from mer_edge.parity.limits import Limits


def first_layer(
    original: Path, file: Path, feed: Tensors, limits: Limits
) -> tuple[str, Comparison] | None:
    """The first tensor, in the order of the original's nodes, that leaves the original.

    Tensors are found by their names, which conversion keeps for most: what has no counterpart is
    passed over.

    Args:
        feed: of one row, because all values inside the graph are held at once.
        limits: of the precision of ``file``; inside the graph those of features.

    Returns:
        The operator that gives it, with its name, and the comparison; None where no tensor that
        both have leaves it.
    """
    models = [onnx.load(path) for path in (original, file)]
    producers = {
        name: f"{node.op_type} {node.name}".strip()
        for node in models[0].graph.node
        for name in node.output
    }
    names = [name for name in producers if name in _given(models[1])]
    values = [_run(model, feed, names) for model in models]
    for name in names:
        expected, actual = (side[name] for side in values)
        if not np.issubdtype(expected.dtype, np.floating):
            continue
        found = compare(name, expected, actual)
        if _leaves(found, limits):
            return producers[name], found
    return None


def _leaves(found: Comparison, limits: Limits) -> bool:
    if not found.finite:
        return True
    if limits.absolute is not None:
        return found.max_abs > limits.absolute * max(1.0, found.reference_max_abs)
    return limits.cosine is not None and found.cosine < limits.cosine


def _given(model: onnx.ModelProto) -> set[str]:
    return {name for node in model.graph.node for name in node.output if name}


def _run(model: onnx.ModelProto, feed: Tensors, names: list[str]) -> Tensors:
    """The values of ``names`` in ``model``, which is changed for it."""
    outputs = {value.name for value in model.graph.output}
    # The engine infers their types itself.
    model.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in names if name not in outputs
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Fused operators do not give what is between them.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
    )
    return dict(zip(names, session.run(names, feed), strict=True))
