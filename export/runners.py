"""Running one graph at a time: as an ONNX file on ONNX Runtime, or as the module it came from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from export.graphs import GraphPlan
from mer_edge.engines import set_threads
from mer_edge.errors import MerEdgeError
from mer_edge.processor import exact_int8

Tensors = dict[str, NDArray[np.generic]]


class GraphRunner(Protocol):
    """Runs a graph by name; inputs and outputs are NumPy arrays by name."""

    def inputs(self, graph: str) -> tuple[str, ...]:
        """The names of the graph's inputs."""

    def run(self, graph: str, feed: Tensors) -> Tensors: ...


class OnnxRunner:
    """The graphs as files, on ONNX Runtime's CPU provider."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        options = onnxruntime.SessionOptions()
        set_threads(options)  # PyTorch runs in turn with us: they sleep at the end of a run
        exact_int8(options)  # what is for TensorRT has eight full bits
        options.log_severity_level = 3
        self._sessions = {
            graph: onnxruntime.InferenceSession(
                str(file), sess_options=options, providers=["CPUExecutionProvider"]
            )
            for graph, file in files.items()
        }

    def inputs(self, graph: str) -> tuple[str, ...]:
        return tuple(value.name for value in self._sessions[graph].get_inputs())

    def run(self, graph: str, feed: Tensors) -> Tensors:
        """Raises MerEdgeError where the engine fails, with the graph and the shapes."""
        session = self._sessions[graph]
        names = [value.name for value in session.get_outputs()]
        try:
            outputs = session.run(names, feed)
        except Exception as error:  # the engine's exceptions have no common class of their own
            shapes = ", ".join(f"{name} {array.shape}" for name, array in feed.items())
            raise MerEdgeError(
                f"the exported {graph} graph does not run on {shapes}: "
                f"{str(error).strip().splitlines()[0]}; expected it to take every shape of the "
                "declared ranges; no bundle was written; report this"
            ) from error
        return dict(zip(names, outputs, strict=True))


class TorchRunner:
    """The modules the graphs are traced from, in PyTorch."""

    def __init__(self, plans: Mapping[str, GraphPlan]) -> None:
        self._plans = plans

    def inputs(self, graph: str) -> tuple[str, ...]:
        return tuple(self._plans[graph].example)

    def run(self, graph: str, feed: Tensors) -> Tensors:
        plan = self._plans[graph]
        arguments = {name: torch.from_numpy(feed[name]) for name in plan.example}
        with torch.inference_mode():
            result = plan.module.eval()(**arguments)
        outputs = result if isinstance(result, tuple) else (result,)
        return {k: v.numpy() for k, v in zip(plan.outputs, outputs, strict=True)}


class Recorder:
    """Passes on to another runner and keeps what went in and came out of each graph."""

    def __init__(self, runner: GraphRunner) -> None:
        self._runner = runner
        self.records: dict[str, Tensors] = {}
        """Per graph that ran: its inputs and outputs by name; the last run counts."""

    def inputs(self, graph: str) -> tuple[str, ...]:
        return self._runner.inputs(graph)

    def run(self, graph: str, feed: Tensors) -> Tensors:
        outputs = self._runner.run(graph, feed)
        self.records[graph] = {**feed, **outputs}
        return outputs


class Memo:
    """Passes on to another runner, but runs a graph only once on the same inputs.

    The seven modality subsets of a shape are made of the same segments, and the encoders are
    nearly all of the work.
    """

    def __init__(self, runner: GraphRunner) -> None:
        self._runner = runner
        self._known: dict[bytes, Tensors] = {}

    def inputs(self, graph: str) -> tuple[str, ...]:
        return self._runner.inputs(graph)

    def run(self, graph: str, feed: Tensors) -> Tensors:
        digest = hashlib.sha256(graph.encode())
        for name, array in sorted(feed.items()):
            digest.update(f"{name}{array.shape}{array.dtype}".encode())
            digest.update(np.ascontiguousarray(array).data)
        key = digest.digest()
        if key not in self._known:
            self._known[key] = self._runner.run(graph, feed)
        return self._known[key]
