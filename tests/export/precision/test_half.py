"""fp16 bodies, fp32 islands, the same signature."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from export.precision.front_end import front_end
from export.precision.half import ISLANDS, positions, to_fp16
from mer_edge.bundle import GRAPHS, load_golden


def types_of(proto):
    """The element type of every tensor of a graph."""
    inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True, check_type=True)
    values = (*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {i.name: i.data_type for i in inferred.graph.initializer}


@pytest.mark.parametrize("name", GRAPHS)
def test_inputs_and_outputs_stay_and_the_islands_are_fp32(graph, name):
    proto = graph(name)
    half = to_fp16(proto)
    assert half.graph.input == proto.graph.input
    assert half.graph.output == proto.graph.output
    types = types_of(half)
    in_half = 0
    for node in half.graph.node:
        used = {types.get(tensor) for tensor in (*node.input, *node.output) if tensor}
        if node.op_type in ISLANDS or node.name in front_end(proto):
            assert TensorProto.FLOAT16 not in used, node.name
        in_half += TensorProto.FLOAT16 in used and node.op_type in ("Conv", "MatMul", "Gemm")
    assert in_half >= 4
    assert {o.version for o in half.opset_import} == {20}


@pytest.mark.parametrize("name", GRAPHS)
def test_the_golden_tensors_are_reproduced_to_half_precision(exported, graph, name):
    session = onnxruntime.InferenceSession(
        to_fp16(graph(name)).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    golden = load_golden(exported.bundle)["full"][name]
    feed = {value.name: golden[value.name] for value in session.get_inputs()}
    names = [value.name for value in session.get_outputs()]
    for key, actual in zip(names, session.run(names, feed), strict=True):
        assert np.isfinite(actual).all()
        largest = np.abs(golden[key]).max()
        assert np.abs(actual - golden[key]).max() <= 4e-3 * max(1.0, largest)


def test_masks_hold_in_half_precision(graph):
    """The most negative number of fp32 would be minus infinity, and 0 times it NaN."""
    half = to_fp16(graph("text"))
    for tensor in half.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype.kind == "f":
            assert np.isfinite(values).all(), tensor.name


def test_nothing_goes_through_half_precision_between_two_islands(graph):
    """Nor are positions counted in it, which TensorRT refuses."""
    for name in GRAPHS:
        proto = graph(name)
        half = to_fp16(proto)
        types = types_of(half)
        made = {tensor: node for node in half.graph.node for tensor in node.output}
        for node in half.graph.node:
            before = made.get(node.input[0]) if node.op_type == "Cast" else None
            if before is not None and before.op_type == "Cast":
                ends = (types[before.input[0]], types[node.output[0]])
                assert ends != (TensorProto.FLOAT, TensorProto.FLOAT), node.name
            if node.name in positions(proto):
                assert TensorProto.FLOAT16 not in {types.get(t) for t in node.output}
    assert any(node.op_type == "Sin" for node in half.graph.node)


def test_the_front_ends_are_found(graph):
    audio, stem = graph("audio"), graph("visual_stem")
    operators = {n.name: n.op_type for n in audio.graph.node}
    assert {"Log", "Sqrt", "Conv", "MatMul"} <= {operators[n] for n in front_end(audio)}
    assert sum(operators[n] == "Conv" for n in front_end(audio)) == 1
    operators = {n.name: n.op_type for n in stem.graph.node}
    assert "Conv" not in {operators[n] for n in front_end(stem)}
    assert "Cast" in {operators[n] for n in front_end(stem)}
    assert not front_end(graph("text"))
    assert not front_end(graph("visual"))
