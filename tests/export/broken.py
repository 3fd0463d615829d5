"""Making an exported graph wrong on purpose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper


def with_changed_weight(source: Path, target: Path, part_of_name: str, add: float) -> Path:
    """Copy a graph and add ``add`` to every value of the one weight so named."""
    model = onnx.load(source)
    (found,) = (t for t in model.graph.initializer if part_of_name in t.name)
    values = numpy_helper.to_array(found) + np.float32(add)
    found.CopyFrom(numpy_helper.from_array(values, found.name))
    onnx.save(model, target)
    return target
