"""The files that a graph has weights in are found as the onnx package finds them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mer_edge.external_data import external_files


def outside(name: str, location: str) -> TensorProto:
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("offset", "0"), ("location", location), ("length", "16")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def branch(name: str) -> onnx.GraphProto:
    node = helper.make_node("Constant", [], ["out"], value=outside("value", name))
    return helper.make_graph([node], "branch", [], [], [outside("weight", f"{name}.2")])


def test_wherever_a_tensor_may_be(tmp_path: Path) -> None:
    inside = numpy_helper.from_array(np.zeros(4, np.float32), "location")
    sparse = onnx.SparseTensorProto(values=outside("values", "v"), indices=outside("indices", "i"))
    nodes = [
        helper.make_node("Identity", ["location"], ["there"]),
        helper.make_node("If", ["there"], ["x"], then_branch=branch("a"), else_branch=branch("b")),
        helper.make_node("Constant", [], ["y"], sparse_value=sparse),
    ]
    graph = helper.make_graph(nodes, "g", [], [], [inside, outside("w", "sub/w.bin")])
    graph.sparse_initializer.append(
        onnx.SparseTensorProto(values=outside("values", "sv"), indices=inside)
    )
    model = helper.make_model(graph)
    body = helper.make_node("Constant", [], ["z"], value=outside("value", "f"))
    model.functions.append(helper.make_function("d", "F", [], ["z"], [body], []))
    (tmp_path / "g.onnx").write_bytes(model.SerializeToString())
    expected = {"a", "a.2", "b", "b.2", "v", "i", "sub/w.bin", "sv", "f"}
    assert external_files(tmp_path / "g.onnx") == expected


def test_the_order_in_an_entry_does_not_count(tmp_path: Path) -> None:
    def field(number: int, content: bytes) -> bytes:
        # The length takes two bytes where one would do, as protobuf allows.
        return bytes([number << 3 | 2, len(content) | 0x80, 0]) + content

    entry = field(2, b"w.bin") + field(1, b"location")
    model = field(7, field(5, bytes([0x10, 1]) + field(13, entry)))
    (tmp_path / "g.onnx").write_bytes(model)
    parsed = onnx.load_from_string(model).graph.initializer[0].external_data[0]
    assert (parsed.key, parsed.value) == ("location", "w.bin")
    assert external_files(tmp_path / "g.onnx") == {"w.bin"}


@pytest.mark.parametrize(
    "content", [b"", b"no graph", b"\x3a\xff\xff\x03half", b"\x3a" + b"\xff" * 20]
)
def test_what_is_no_graph_names_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "g.onnx").write_bytes(content)
    assert external_files(tmp_path / "g.onnx") == set()
