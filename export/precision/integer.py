"""fp32 graph -> INT8 graph, by the recipe of its target.

Weights have a scale a channel everywhere, embeddings one a row. What differs is the activations.
ONNX Runtime's CPU kernels multiply unsigned by signed bytes; TensorRT refuses a zero point other
than 0. So ``cpu`` has unsigned activations, of the text encoder's products measured at each run
(ranges of sentences differ more than eight bits allow), and ``tensorrt`` signed ones with zero
points of 0 throughout, biases that are not quantised and fp16 around them.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.quant_utils import QuantizationMode

from export.precision.calibration import activation_ranges, channel_maxima
from export.precision.embeddings import quantize_embeddings
from export.precision.front_end import front_end
from export.precision.half import to_fp16
from export.precision.outliers import KEPT_SUFFIX, constant_products, split_outliers
from export.precision.pixels import bytes_that_stay, with_faces_as_bytes
from export.precision.recipe import Recipe
from export.precision.saturation import weight_ranges
from export.precision.tidy import tidied
from export.runners import Tensors

OPERATORS = ("Conv", "Gemm", "MatMul")
"""What is done in eight bits; all else is cheap, or precise for a reason."""
BETWEEN = ("Relu", "MaxPool")
"""What the CPU does on bytes on the way from one of them to the next. A rectifier costs nothing
then: it is the lower end of what the bytes before it can say. TensorRT fuses by itself."""


@dataclass(frozen=True)
class Quantized:
    """An INT8 graph and what in it is not."""

    proto: onnx.ModelProto
    kept: tuple[str, ...]
    """Names of the products and convolutions that are not in eight bits."""


def to_int8(
    proto: onnx.ModelProto,
    feeds: Sequence[Tensors],
    recipe: Recipe,
    keep: frozenset[str] = frozenset(),
) -> Quantized:
    """A new graph; ``proto`` stays as it is.

    Args:
        feeds: the graph's inputs on the calibration clips.
        keep: names of nodes that stay in floating point.
    """
    inputs = {node.input[0] for node in constant_products(proto) if node.name not in keep}
    split = split_outliers(proto, channel_maxima(proto, feeds, inputs)) if inputs else proto
    excluded = keep | front_end(split)
    excluded |= {node.name for node in split.graph.node if node.name.endswith(KEPT_SUFFIX)}
    excluded |= _without_weight(split)
    if recipe == "cpu" and _is_text(proto):
        quantized = _dynamic(split, excluded)
    elif recipe == "cpu":
        quantized = _static(with_faces_as_bytes(split), feeds, excluded, recipe)
        bytes_that_stay(quantized)
    else:
        quantized = _static(split, feeds, excluded, recipe)
    quantized = tidied(quantize_embeddings(quantized, recipe))
    if recipe == "tensorrt":
        # Of the original: convolutions are not known by their weights once these are quantised.
        quantized = to_fp16(quantized, front_end(proto))
    whole = {n.name for n in proto.graph.node if n.op_type in OPERATORS} - front_end(proto)
    return Quantized(quantized, tuple(sorted((whole & keep) | (whole & _without_weight(proto)))))


def _is_text(proto: onnx.ModelProto) -> bool:
    return any(value.name == "input_ids" for value in proto.graph.input)


def _without_weight(proto: onnx.ModelProto) -> frozenset[str]:
    """Products of two activations: attention's, which lose the most and cost the least."""
    weights = {i.name for i in proto.graph.initializer}
    return frozenset(
        node.name
        for node in proto.graph.node
        if node.op_type == "MatMul" and not weights & set(node.input)
    )


def _dynamic(proto: onnx.ModelProto, excluded: frozenset[str]) -> onnx.ModelProto:
    quantizer = ONNXQuantizer(
        _copy(proto),
        per_channel=True,
        reduce_range=False,
        mode=QuantizationMode.IntegerOps,
        static=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=None,
        nodes_to_quantize=None,
        nodes_to_exclude=sorted(excluded),
        op_types_to_quantize=["MatMul"],
        extra_options={
            "MatMulConstBOnly": True,
            "TensorQuantOverrides": weight_ranges(proto, excluded),
        },
    )
    with _quiet():
        quantizer.quantize_model()
    result: onnx.ModelProto = quantizer.model.model
    return result


def _static(
    proto: onnx.ModelProto, feeds: Sequence[Tensors], excluded: frozenset[str], recipe: Recipe
) -> onnx.ModelProto:
    symmetric = recipe == "tensorrt"
    operators = list(OPERATORS) if symmetric else [*OPERATORS, *BETWEEN]
    with _quiet():
        ranges = activation_ranges(proto, feeds, [*OPERATORS, *BETWEEN])
        quantizer = QDQQuantizer(
            _copy(proto),
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QInt8 if symmetric else QuantType.QUInt8,
            tensors_range=ranges,
            nodes_to_quantize=None,
            nodes_to_exclude=sorted(excluded),
            op_types_to_quantize=operators,
            extra_options={
                "ActivationSymmetric": symmetric,
                "WeightSymmetric": True,
                "QuantizeBias": not symmetric,
                "TensorQuantOverrides": {} if symmetric else weight_ranges(proto, excluded),
                # TensorRT fuses what follows into a product by itself and wants its output whole.
                "OpTypesToExcludeOutputQuantization": list(OPERATORS) if symmetric else [],
            },
        )
        quantizer.quantize_model()
    result: onnx.ModelProto = quantizer.model.model
    return result


def _copy(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The quantisers write into what they are given."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    return copy


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The quantisers print their progress and warn of a preprocessing that is done already."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
