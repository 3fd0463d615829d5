"""A bundle's graphs joined into one ONNX graph: what handing arrays from graph to graph costs.

One clip with a text; what is absent of its segments is masked.
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from mer_edge.bundle import GRAPHS, Bundle

SIGNAL = {"audio": "waveform", "visual": "faces"}
FREE = ("input_ids", "attention_mask", "waveform", "faces", "audio_mask", "visual_mask")
"""What the joined graph takes, as far as the bundle does; ``text_mask`` is always true."""


def write_joined_graph(bundle: Bundle, file: Path) -> None:
    """Join the bundle's graphs and write them to ``file``."""
    onnx.save(join_graphs(bundle), file)


def join_graphs(bundle: Bundle) -> onnx.ModelProto:
    """Inputs: of ``FREE``, signals (S, ...), ids (1, L), masks (1, S); outputs: the fusion's."""
    names = [name for name in GRAPHS if name in bundle.manifest.graphs]
    models = {name: onnx.load(bundle.graph_path(name)) for name in names}
    free: dict[str, onnx.ValueInfoProto] = {}
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    for name, model in models.items():
        graph = compose.add_prefix_graph(model.graph, f"{name}/")
        for value, wanted in zip(graph.input, model.graph.input, strict=True):
            nodes += _feed(name, wanted.name, value.name, bundle)
            if wanted.name in FREE:
                free[wanted.name] = _with_one_clip(wanted)
        nodes += graph.node
        constants += graph.initializer
    outputs = []
    for value in models["fusion"].graph.output:
        nodes.append(helper.make_node("Identity", [f"fusion/{value.name}"], [value.name]))
        outputs.append(value)
    constants += _glue_constants(bundle)
    graph = helper.make_graph(nodes, "joined", list(free.values()), outputs, constants)
    return helper.make_model(
        graph,
        opset_imports=_opsets(list(models.values())),
        ir_version=max(model.ir_version for model in models.values()),
    )


def _feed(graph: str, wanted: str, target: str, bundle: Bundle) -> list[onnx.NodeProto]:
    """Nodes that give the input ``wanted`` of ``graph`` under its new name."""
    if wanted in FREE:
        return [helper.make_node("Identity", [wanted], [target])]
    if wanted == "text_mask":
        return [helper.make_node("Identity", ["glue/true"], [target])]
    if wanted == "visual_map":
        return [helper.make_node("Identity", ["visual_stem/visual_map"], [target])]
    if graph == "fusion":
        if wanted == "text":
            return [helper.make_node("Identity", ["text/text"], [target])]
        return [helper.make_node("Unsqueeze", [f"{wanted}/{wanted}", "glue/first"], [target])]
    return _repeat(graph, wanted, target)


def _repeat(graph: str, wanted: str, target: str) -> list[onnx.NodeProto]:
    """The clip's text, tokens or token mask, once for each segment."""
    glue = f"glue/{graph}/{wanted}"
    source, nodes = f"text/{wanted}", []
    if wanted == "token_mask":
        source = f"{glue}/bool"
        nodes = [helper.make_node("Cast", ["attention_mask"], [source], to=TensorProto.BOOL)]
    return [
        *nodes,
        helper.make_node("Shape", [SIGNAL[graph]], [f"{glue}/segments"], start=0, end=1),
        helper.make_node("Shape", [source], [f"{glue}/rest"], start=1),
        helper.make_node("Concat", [f"{glue}/segments", f"{glue}/rest"], [f"{glue}/shape"], axis=0),
        helper.make_node("Expand", [source, f"{glue}/shape"], [target]),
    ]


def _glue_constants(bundle: Bundle) -> list[onnx.TensorProto]:
    import numpy as np

    return [
        numpy_helper.from_array(np.array([True]), "glue/true"),
        numpy_helper.from_array(np.array([0], np.int64), "glue/first"),
    ]


def _with_one_clip(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    """The input as it is, but of one clip, whose segments are those of the signals."""
    renamed = {"batch": 1, "clip_segments": "segments"}
    kind = value.type.tensor_type
    shape = [d.dim_param if d.HasField("dim_param") else d.dim_value for d in kind.shape.dim]
    sizes = [renamed.get(size, size) for size in shape]
    return helper.make_tensor_value_info(value.name, kind.elem_type, sizes)


def _opsets(models: list[onnx.ModelProto]) -> list[onnx.OperatorSetIdProto]:
    """Every domain that is used, in its highest version."""
    versions: dict[str, int] = {}
    for model in models:
        for opset in model.opset_import:
            versions[opset.domain] = max(opset.version, versions.get(opset.domain, 0))
    return [helper.make_opsetid(domain, version) for domain, version in versions.items()]
