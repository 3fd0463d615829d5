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


def with_noisy_weights(source: Path, target: Path, share: float) -> Path:
    """Copy a graph and disturb every matrix and kernel by ``share`` of its own spread."""
    model = onnx.load(source)
    rng = np.random.default_rng(0)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.ndim < 2 or values.dtype != np.float32:
            continue
        noise = share * values.std() * rng.standard_normal(values.shape)
        tensor.CopyFrom(numpy_helper.from_array((values + noise).astype(np.float32), tensor.name))
    onnx.save(model, target)
    return target


def with_swapped_names(source: Path, target: Path, first: str, second: str) -> Path:
    """Copy a graph and let two of its inputs, or two of its outputs, change their names."""
    model = onnx.load(source)
    other = {first: second, second: first}
    for node in model.graph.node:
        node.input[:] = [other.get(name, name) for name in node.input]
        node.output[:] = [other.get(name, name) for name in node.output]
    onnx.save(model, target)
    return target


def with_fixed_rows(source: Path, target: Path, signal: str, rows: int) -> Path:
    """Copy a graph and let it look at the first ``rows`` of a signal for all of them, which is what
    a dimension that was taken for a constant does; it goes on running on every shape."""
    model = onnx.load(source)
    for node in model.graph.node:
        node.input[:] = [f"{signal}_fixed" if name == signal else name for name in node.input]
    constants = {
        "fixed_zero": 0,
        "fixed_count": rows,
        "fixed_one": 1,
    }
    model.graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.int64), name)
        for name, value in constants.items()
    )
    make = onnx.helper.make_node
    nodes = [
        make("Shape", [signal], ["fixed_shape"], start=0, end=1),
        make("Squeeze", ["fixed_shape"], ["fixed_size"]),
        make("Range", ["fixed_zero", "fixed_size", "fixed_one"], ["fixed_all"]),
        make("Mod", ["fixed_all", "fixed_count"], ["fixed_rows_of"]),
        make("Gather", [signal, "fixed_rows_of"], [f"{signal}_fixed"], axis=0),
    ]
    for node in reversed(nodes):
        model.graph.node.insert(0, node)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, target)
    return target


def with_fixed_batch(source: Path, target: Path, rows: int) -> Path:
    """Copy a graph and declare its inputs' first dimension fixed: other sizes do not run."""
    model = onnx.load(source)
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = rows
    onnx.save(model, target)
    return target
