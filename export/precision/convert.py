"""One graph in the precision that was asked for."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from export.precision.calibration import CalibrationSet
from export.precision.half import to_fp16
from export.precision.keep import to_sound_int8
from export.precision.recipe import Recipe

NOT_IN_EIGHT_BITS = ("fusion",)
"""Its products are of a few rows: INT8 took as long as fp32 (2.8 and 2.2 ms for four clips, preset
small, one thread) and moved logits by up to 1.2, where the rest of the network together moves them
by 0.6; it has 0.1 % of the weights."""


@dataclass(frozen=True)
class Converted:
    """A graph in its precision."""

    proto: onnx.ModelProto
    precision: str
    """What it really is: the fusion graph of an INT8 bundle is fp32, or fp16 for TensorRT."""
    kept: tuple[str, ...] = ()
    """Products and convolutions of an INT8 graph that are not in eight bits."""


def convert(
    name: str,
    proto: onnx.ModelProto,
    precision: str,
    recipe: Recipe,
    calibration: CalibrationSet | None = None,
) -> Converted:
    """The fp32 graph ``name`` in another precision; ``proto`` stays as it is.

    Args:
        calibration: for INT8.

    Raises:
        MerEdgeError: no calibration clip runs the graph.
    """
    if precision == "int8" and name in NOT_IN_EIGHT_BITS:
        precision = "fp32" if recipe == "cpu" else "fp16"
    if precision == "fp32":
        return Converted(proto, precision)
    if precision == "fp16":
        return Converted(to_fp16(proto), precision)
    assert calibration is not None
    quantized = to_sound_int8(proto, calibration.of(name), recipe)
    return Converted(quantized.proto, precision, quantized.kept)
