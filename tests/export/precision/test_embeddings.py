import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.precision.embeddings import quantize_embeddings


@pytest.mark.parametrize("recipe", ["cpu", "tensorrt"])
def test_rows_come_back_to_half_a_step_of_their_own_scale(recipe):
    rng = np.random.default_rng(0)
    table = rng.normal(size=(500, 32)).astype(np.float32)
    table[7] *= 1000  # another row's size does not matter
    table[9] = 0
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "rows"], ["out"], name="gather")],
        "embedding",
        [helper.make_tensor_value_info("rows", TensorProto.INT64, ["b", "l"])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["b", "l", 32])],
        [numpy_helper.from_array(table, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    made = quantize_embeddings(model, recipe)
    rows = np.arange(500).reshape(5, 100)
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (out,) = session.run(None, {"rows": rows})
    steps = np.abs(table).max(1, keepdims=True) / 127
    assert (np.abs(out.reshape(500, 32) - table) <= 0.5001 * steps + 1e-12).all()
    assert made.ByteSize() < 0.32 * model.ByteSize()
    (stored,) = [i for i in made.graph.initializer if i.name == "table"]
    assert stored.data_type == TensorProto.INT8


def test_a_small_table_stays(graph):
    proto = graph("visual")
    assert quantize_embeddings(proto) == proto
