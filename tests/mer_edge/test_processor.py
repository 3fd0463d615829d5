"""What the processor and the engine on it do with products of bytes."""

import numpy as np
import onnxruntime
import pytest

from mer_edge.bundle import GraphSpec
from mer_edge.processor import (
    INSTRUCTION_SETS,
    LARGEST_SUM,
    PRODUCT,
    describe_int8,
    instruction_sets,
    int8_saturates,
    needs_exact_int8,
)


def test_the_probe_is_a_product_of_bytes():
    session = onnxruntime.InferenceSession(PRODUCT, providers=["CPUExecutionProvider"])
    a = np.zeros((1, 32), np.uint8)
    a[0, 3] = 200
    b = np.zeros((32, 32), np.int8)
    b[3, 5] = -7
    (sums,) = session.run(None, {"a": a, "b": b})
    assert sums[0, 5] == -1400
    assert np.count_nonzero(sums) == 1


def test_processors_with_vnni_do_not_saturate():
    assert set(instruction_sets()) <= set(INSTRUCTION_SETS)
    if {"avx512_vnni", "asimddp"} & set(instruction_sets()):
        assert not int8_saturates()
    assert ("saturate" in describe_int8()) == int8_saturates()


@pytest.mark.parametrize(
    ("precision", "pair_sum", "needs"),
    [
        ("int8", None, True),
        ("int8", 64_770, True),
        ("int8", LARGEST_SUM, False),
        ("fp32", None, False),
    ],
)
def test_older_int8_graphs_need_exact_kernels(precision, pair_sum, needs):
    spec = GraphSpec("audio.onnx", "", precision, [], [], largest_pair_sum=pair_sum)
    assert needs_exact_int8(spec) is needs
