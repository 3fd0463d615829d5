"""INT8 with the layers that ruin it left in floating point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from export.precision.front_end import front_end
from export.precision.integer import OPERATORS, Quantized, to_int8
from export.precision.recipe import Recipe
from export.runners import Tensors
from mer_edge.processor import exact_int8

LEAST_COSINE = 0.99
"""Of what the graph gives on a calibration clip with what its fp32 original gives, in the mean.
Sound graphs of a trained network (preset small) have 0.995 and more."""
CLIPS = 8
"""That the cosine is taken of."""
ROUNDS, AT_A_TIME = 4, 2
"""How often, and how many layers at once, are put back before the gate is left to judge."""


def to_sound_int8(proto: onnx.ModelProto, feeds: Sequence[Tensors], recipe: Recipe) -> Quantized:
    """:func:`export.precision.integer.to_int8`, with as few layers kept higher as its outputs need.

    The layers kept are those at whose outputs the error grows most over that of their inputs.
    """
    keep: frozenset[str] = frozenset()
    quantized = to_int8(proto, feeds, recipe, keep)
    for _ in range(ROUNDS):
        if mean_cosine(proto, quantized.proto, feeds[:CLIPS]) >= LEAST_COSINE:
            break
        worst = worst_layers(proto, quantized, feeds[:2])[:AT_A_TIME]
        if not worst:
            break
        keep |= frozenset(worst)
        quantized = to_int8(proto, feeds, recipe, keep)
    return quantized


def mean_cosine(
    original: onnx.ModelProto, changed: onnx.ModelProto, feeds: Sequence[Tensors]
) -> float:
    """Of the first outputs, clip by clip or segment by segment."""
    name = original.graph.output[0].name
    sessions = [_session(model) for model in (original, changed)]
    cosines = []
    for feed in feeds:
        given = (session.run([name], feed)[0] for session in sessions)
        a, b = (values.reshape(len(values), -1).astype(np.float64) for values in given)
        norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
        cosines.append(((a * b).sum(-1) / np.maximum(norms, 1e-30)).mean())
    return float(np.mean(cosines))


def worst_layers(
    original: onnx.ModelProto, quantized: Quantized, feeds: Sequence[Tensors]
) -> list[str]:
    """The layers in eight bits, those first that add most to the relative error."""
    front = front_end(original)
    layers = [
        node
        for node in original.graph.node
        if node.op_type in OPERATORS and node.name not in front and node.name not in quantized.kept
    ]
    given = {name for node in quantized.proto.graph.node for name in node.output}
    inputs = {value.name for value in original.graph.input}
    gives = {node.name: _output_in(given, node, original) for node in layers}
    wanted = {n for node in layers for n in (node.input[0], gives[node.name])} & given - inputs
    errors = _relative_errors(original, quantized.proto, sorted(wanted), feeds)
    growth = {
        node.name: errors[gives[node.name]] - errors.get(node.input[0], 0.0)
        for node in layers
        if gives[node.name] in errors
    }
    return sorted(growth, key=lambda name: -growth[name])


def _output_in(given: set[str], layer: onnx.NodeProto, original: onnx.ModelProto) -> str:
    """The layer's output; behind its rectifier where that has become part of it."""
    output: str = layer.output[0]
    behind = [n.output[0] for n in original.graph.node if n.op_type == "Relu" and output in n.input]
    return behind[0] if output not in given and behind else output


def _relative_errors(
    original: onnx.ModelProto,
    changed: onnx.ModelProto,
    names: Sequence[str],
    feeds: Sequence[Tensors],
) -> dict[str, float]:
    """Per tensor the norm of the difference over the norm of the original's."""
    sums: dict[str, NDArray[np.float64]] = {name: np.zeros(2) for name in names}
    sessions = [_session(_watched(model, names)) for model in (original, changed)]
    for feed in feeds:
        sides = [session.run(list(names), feed) for session in sessions]
        for name, a, b in zip(names, *sides, strict=True):
            wide = a.astype(np.float64)
            sums[name] += [((wide - b) ** 2).sum(), (wide**2).sum()]
    return {
        name: float(np.sqrt(error / total)) if total > 0 else 0.0
        for name, (error, total) in sums.items()
    }


def _watched(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    already = {value.name for value in (*copy.graph.output, *copy.graph.input)}
    copy.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in already)
    return copy


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    exact_int8(options)  # what is kept must not depend on the machine of the export
    return onnxruntime.InferenceSession(
        model.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
    )
