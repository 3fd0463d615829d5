"""Writing one module as one ONNX file that other tools can open, and describing it."""

from __future__ import annotations

import hashlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnx_ir
import torch
from torch import Tensor, nn

from mer_edge.bundle import GraphSpec, TensorSpec
from mer_edge.errors import MerEdgeError

OPSET = 20
"""17 to 20 is what every TensorRT from 10.3 (JetPack 6) on reads."""
MAX_GRAPH_BYTES = 2**31 - 1
"""What protobuf can hold in one file; the weights are inside it."""


@dataclass(frozen=True)
class GraphPlan:
    """A module and how to call it, ready to be traced."""

    name: str
    module: nn.Module
    example: Mapping[str, Tensor]
    """The graph's inputs by the names of ``forward``'s parameters and in their order; no dynamic
    size may be 0 or 1, because the exporter takes those for constants."""
    dynamic: Mapping[str, Mapping[int, str]]
    """Per input: the name of each dynamic dimension."""
    outputs: tuple[str, ...]


def trace_graph(plan: GraphPlan, metadata: Mapping[str, str]) -> onnx.ModelProto:
    """The graph of ``plan`` in fp32, checked, as the exporter gives it.

    Raises:
        MerEdgeError: the graph is too large for one ONNX file.
    """
    _check_size(plan)
    proto = _without_local_traces(_trace(plan))
    proto.graph.name = plan.name
    onnx.helper.set_model_props(proto, dict(metadata))
    onnx.checker.check_model(proto, full_check=True)
    return proto


def save_graph(
    proto: onnx.ModelProto,
    file: Path,
    precision: str = "fp32",
    rewrites: Sequence[str] = (),
    kept_higher: Sequence[str] = (),
    largest_pair_sum: int | None = None,
) -> GraphSpec:
    """Write a graph to ``file``, its weights inside, and describe it.

    Raises:
        OSError: the file cannot be written.
    """
    content = proto.SerializeToString(deterministic=True)
    file.write_bytes(content)
    return GraphSpec(
        file=file.name,
        sha256=hashlib.sha256(content).hexdigest(),
        precision=precision,
        inputs=[_tensor_spec(value) for value in proto.graph.input],
        outputs=[_tensor_spec(value) for value in proto.graph.output],
        rewrites=list(rewrites),
        kept_higher=list(kept_higher),
        largest_pair_sum=largest_pair_sum,
    )


def write_graph(plan: GraphPlan, file: Path, metadata: Mapping[str, str]) -> GraphSpec:
    """Trace ``plan`` and write the graph to ``file``.

    Raises:
        MerEdgeError: the graph is too large for one ONNX file.
        OSError: the file cannot be written.
    """
    return save_graph(trace_graph(plan, metadata), file)


def _check_size(plan: GraphPlan) -> None:
    size = sum(p.numel() * p.element_size() for p in plan.module.parameters())
    if size >= MAX_GRAPH_BYTES:
        raise MerEdgeError(
            f"the {plan.name} graph has {size / 1e9:.2f} GB of weights; one ONNX file holds less "
            f"than {MAX_GRAPH_BYTES / 1e9:.2f} GB; train with a smaller encoder"
        )


def _trace(plan: GraphPlan) -> onnx_ir.Model:
    with _quiet():
        program = torch.onnx.export(
            plan.module.eval(),
            kwargs=dict(plan.example),
            input_names=list(plan.example),
            output_names=list(plan.outputs),
            dynamic_shapes={name: dict(plan.dynamic[name]) for name in plan.example},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # None is what the old exporter returns
    return program.model


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter talks on stdout, where ``--json`` must stay alone, and warns of its own ways."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _without_local_traces(model: onnx_ir.Model) -> onnx.ModelProto:
    """Drop what the exporter notes of each node: stack traces with this machine's paths."""
    for value in [*model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values()]:
        value.metadata_props.clear()
        value.doc_string = None
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
            value.doc_string = None
    model.graph.metadata_props.clear()
    model.metadata_props.clear()
    model.doc_string = None
    model.graph.doc_string = None
    return onnx_ir.to_proto(model)


def _tensor_spec(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor: Any = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    shape = [d.dim_param if d.HasField("dim_param") else d.dim_value for d in tensor.shape.dim]
    return TensorSpec(name=value.name, dtype=dtype.name, shape=shape)
