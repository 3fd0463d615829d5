"""Operations and bytes of graphs that are small enough to count by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.roofline.work import Work, count_work

F32, U8 = TensorProto.FLOAT, TensorProto.UINT8


def work_of(
    tmp_path: Path,
    nodes: list[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    given: np.ndarray,
    result: int = F32,
) -> Work:
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info(
                "x", helper.np_dtype_to_tensor_dtype(given.dtype), ["n", *given.shape[1:]]
            )
        ],
        [helper.make_tensor_value_info("y", result, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    file = tmp_path / "g.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), file
    )
    return count_work(file, {"x": given})


def test_a_product_and_a_rectifier(tmp_path: Path) -> None:
    node = helper.make_node
    found = work_of(
        tmp_path,
        [node("MatMul", ["x", "w"], ["z"]), node("Relu", ["z"], ["y"])],
        {"w": np.ones((8, 5), np.float32)},
        np.ones((3, 8), np.float32),
    )
    assert found.per_operator == {"MatMul": 2 * 3 * 5 * 8, "Relu": 15}
    assert (found.float_operations, found.integer_operations) == (255, 0)
    assert found.weight_bytes == 160
    assert found.input_output_bytes == 4 * (3 * 8 + 3 * 5)
    assert found.between_bytes == 2 * 4 * 15
    assert found.intensity == 255 / (160 + 156)


def test_a_convolution_of_groups(tmp_path: Path) -> None:
    found = work_of(
        tmp_path,
        [helper.make_node("Conv", ["x", "w"], ["y"], group=2, pads=[1, 1, 1, 1])],
        {"w": np.ones((6, 2, 3, 3), np.float32)},
        np.ones((2, 4, 7, 7), np.float32),
    )
    assert found.operations == 2 * (2 * 6 * 7 * 7) * (2 * 3 * 3)


def test_integer_products_are_counted_as_such(tmp_path: Path) -> None:
    found = work_of(
        tmp_path,
        [helper.make_node("MatMulInteger", ["x", "w"], ["y"])],
        {"w": np.ones((8, 5), np.int8)},
        np.ones((3, 8), np.uint8),
        TensorProto.INT32,
    )
    assert (found.float_operations, found.integer_operations) == (0, 240)
    assert found.weight_bytes == 40


def test_products_of_what_was_dequantized_are_integer_ones(tmp_path: Path) -> None:
    node = helper.make_node
    found = work_of(
        tmp_path,
        [
            node("QuantizeLinear", ["x", "s", "zero"], ["q"]),
            node("DequantizeLinear", ["q", "s", "zero"], ["a"]),
            node("DequantizeLinear", ["w", "s"], ["b"]),
            node("MatMul", ["a", "b"], ["y"]),
        ],
        {
            "s": np.array(0.5, np.float32),
            "zero": np.array(0, np.uint8),
            "w": np.ones((8, 5), np.int8),
        },
        np.ones((3, 8), np.float32),
    )
    assert found.integer_operations == 240
    # The weights are dequantized once, when the graph is loaded.
    assert found.per_operator["DequantizeLinear"] == 2 * 3 * 8
    assert found.weight_bytes == 4 + 1 + 40


@pytest.mark.parametrize("rows", [1, 4])
def test_a_table_counts_the_rows_that_are_looked_up(rows: int, tmp_path: Path) -> None:
    found = work_of(
        tmp_path,
        [helper.make_node("Gather", ["table", "x"], ["y"])],
        {"table": np.ones((1000, 16), np.float32)},
        np.arange(rows, dtype=np.int64),
    )
    assert found.operations == 0
    assert found.weight_bytes == rows * 64
