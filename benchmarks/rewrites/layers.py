"""VGGish's fully connected layers at the paper's sizes (two thirds of a hundred million weights):
ways to hold them in eight bits, random weights."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from benchmarks.rewrites.timing import in_turn, open_session
from export.graphs import OPSET

SIZES = (12288, 4096, 4096, 128)
BLOCK = 128
Weights = list[tuple[NDArray[np.float32], NDArray[np.float32]]]
Layer = tuple[list[onnx.NodeProto], dict[str, NDArray[Any]]]
"""Nodes from ``x{i}`` to ``y{i}``, and their constants."""


def measure(rounds: int) -> list[dict[str, Any]]:
    """Processor time of one thread, bytes, and the largest error over the largest output."""
    rng = np.random.default_rng(0)
    weights: Weights = [
        (
            (rng.standard_normal((a, b)) * np.sqrt(2 / a)).astype(np.float32),
            (rng.standard_normal(b) * 0.01).astype(np.float32),
        )
        for a, b in pairwise(SIZES)
    ]
    ways = {
        "fp32": _floats,
        "int8 weights, DequantizeLinear": _dequantized,
        "int8 weights, blocks of 128 (MatMulNBits, ONNX Runtime's own operator)": _blocks,
        "int8 weights, activations measured at each run (MatMulInteger)": _dynamic,
    }
    graphs = {name: _graph(weights, way).SerializeToString() for name, way in ways.items()}
    sessions = {name: open_session(content, 1) for name, content in graphs.items()}
    rows = []
    for segments in (1, 5):
        x = np.maximum(rng.standard_normal((segments, SIZES[0])), 0).astype(np.float32)
        outputs = {name: session.run(None, {"x0": x})[0] for name, session in sessions.items()}
        runs = {n: lambda s=s, x=x: s.run(None, {"x0": x}) for n, s in sessions.items()}
        for name, times in in_turn(runs, rounds).items():
            error = np.abs(outputs[name] - outputs["fp32"]).max() / np.abs(outputs["fp32"]).max()
            rows.append(
                {
                    "way": name,
                    "segments": segments,
                    "bytes": len(graphs[name]),
                    "relative_error": float(error),
                    **times,
                }
            )
    return rows


def _graph(weights: Weights, way: Any) -> onnx.ModelProto:
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, NDArray[Any]] = {}
    for i, (weight, bias) in enumerate(weights):
        more, theirs = way(i, weight, bias)
        nodes += [*more, helper.make_node("Relu", [f"y{i}"], [f"x{i + 1}"])]
        constants |= theirs
    float32 = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "layers",
        [helper.make_tensor_value_info("x0", float32, ["segments", SIZES[0]])],
        [helper.make_tensor_value_info(f"x{len(weights)}", float32, ["segments", SIZES[-1]])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    operators = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=operators, ir_version=10)


def _floats(i: int, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> Layer:
    node = helper.make_node("Gemm", [f"x{i}", f"w{i}", f"b{i}"], [f"y{i}"])
    return [node], {f"w{i}": weight, f"b{i}": bias}


def _eight_bits(i: int, weight: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """A scale per output."""
    scale = np.abs(weight).max(0) / np.float32(127)
    steps = np.round(weight / scale).astype(np.int8)
    return {f"w{i}": steps, f"s{i}": scale, f"z{i}": np.zeros(len(scale), np.int8)}


def _dequantized(i: int, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> Layer:
    nodes = [
        helper.make_node("DequantizeLinear", [f"w{i}", f"s{i}", f"z{i}"], [f"d{i}"], axis=1),
        helper.make_node("Gemm", [f"x{i}", f"d{i}", f"b{i}"], [f"y{i}"]),
    ]
    return nodes, {**_eight_bits(i, weight), f"b{i}": bias}


def _dynamic(i: int, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> Layer:
    make = helper.make_node
    nodes = [
        make("DynamicQuantizeLinear", [f"x{i}"], [f"q{i}", f"qs{i}", f"qz{i}"]),
        make("MatMulInteger", [f"q{i}", f"w{i}", f"qz{i}"], [f"m{i}"]),
        make("Cast", [f"m{i}"], [f"f{i}"], to=onnx.TensorProto.FLOAT),
        make("Mul", [f"qs{i}", f"s{i}"], [f"t{i}"]),
        make("Mul", [f"f{i}", f"t{i}"], [f"p{i}"]),
        make("Add", [f"p{i}", f"b{i}"], [f"y{i}"]),
    ]
    constants = {k: v for k, v in _eight_bits(i, weight).items() if k != f"z{i}"}
    return nodes, {**constants, f"b{i}": bias}


def _blocks(i: int, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> Layer:
    inputs, outputs = weight.shape
    blocks = weight.T.reshape(outputs, inputs // BLOCK, BLOCK)
    scale = np.abs(blocks).max(2) / np.float32(127)
    steps = (np.round(blocks / scale[..., None]) + 128).astype(np.uint8)
    node = helper.make_node(
        "MatMulNBits",
        [f"x{i}", f"w{i}", f"s{i}", "", "", f"b{i}"],
        [f"y{i}"],
        domain="com.microsoft",
        K=inputs,
        N=outputs,
        bits=8,
        block_size=BLOCK,
        accuracy_level=4,
    )
    return [node], {f"w{i}": steps, f"s{i}": scale, f"b{i}": bias}
