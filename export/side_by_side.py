"""PyTorch and the exported graphs on the same clips: each graph alone, and the whole chain.

The encoders are nearly all of the work. Clips of one shape share them between the subsets of the
modalities, and a graph alone is often fed with what the chain feeds it: what has run once on the
same inputs does not run again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from export.cases import Case, make_batch
from export.chain import absent_text_of, encoder_sizes, run_chain
from export.clip_batch import batch_of
from export.graphs import GraphPlan
from export.runners import GraphRunner, Memo, OnnxRunner, Recorder, Tensors, TorchRunner
from mer_edge.bundle import FUSED
from mer_edge.clip import Clip
from mer_edge.errors import MerEdgeError
from mer_edge.model.mer import MerModel, ModelBatch
from mer_edge.parity.comparison import compare
from mer_edge.parity.limits import loosest
from mer_edge.parity.report import Measured
from mer_edge.text.tokenizer import TextTokenizer


@dataclass(frozen=True)
class Outcome:
    """One batch on both sides."""

    case: str
    measured: tuple[Measured, ...]
    logits: Mapping[str, tuple[NDArray[Any], NDArray[Any]]]
    """Of ``fusion`` alone and of ``chain``: the reference's and what was found, (B, M) each."""


@dataclass(frozen=True)
class Suspect:
    """The inputs on which a graph alone came nearest to its limit."""

    measured: Measured
    feed: Tensors


class SideBySide:
    """A model and the graphs made of it.

    Args:
        model: in evaluation mode.
        plans: the modules the graphs were traced from.
        files: per graph its ONNX file.
        precisions: per graph a key of ``mer_edge.parity.limits.LIMITS``.
        seed: of the random clips.
    """

    def __init__(
        self,
        model: MerModel,
        plans: Mapping[str, GraphPlan],
        files: Mapping[str, Path],
        precisions: Mapping[str, str],
        seed: int = 0,
    ) -> None:
        self._model = model
        self._absent_text = absent_text_of(model)
        self._sizes = encoder_sizes(model.config)
        self._torch, self._onnx = TorchRunner(plans), OnnxRunner(files)
        self._plans = plans
        self._seed = seed
        self.precisions = dict(precisions)
        self.chain_precision = loosest(precisions.values())
        self.suspects: dict[str, Suspect] = {}
        """Per graph, over all that has run."""
        self.examples: dict[str, Tensors] = {}
        """Per graph inputs that it has run on, the clips' before the random cases'."""
        # Outputs alone are kept, which are small (of faces a map: 0.4 MB a segment of ``paper``);
        # of a user's clips not even these.
        self._known_torch, self._known_onnx = Memo(self._torch), Memo(self._onnx)

    def case(self, case: Case) -> Outcome:
        """Random clips."""
        return self.batch(str(case), make_batch(self._model.config, case, self._seed))

    def batch(self, name: str, batch: ModelBatch) -> Outcome:
        """The reference is ``MerModel.forward``, and the modules stand beside it."""
        with torch.inference_mode():
            fused = self._model(batch)
        reference = {name: tensor.numpy() for name, tensor in fused._asdict().items()}
        return self._outcome(name, batch, (self._known_torch, self._known_onnx), reference)

    def clip(self, clip: Clip, tokenizer: TextTokenizer | None) -> Outcome:
        """Somebody's clip; the reference is the modules, chained in PyTorch."""
        batch = batch_of([clip], tokenizer)
        name = clip.source or "clip"
        return self._outcome(name, batch, (Memo(self._torch), Memo(self._onnx)), None)

    def alone(self, graph: str, feed: Tensors, case: str) -> tuple[Measured, ...]:
        """One graph on any inputs."""
        return self._measure(graph, case, feed, self._torch.run(graph, feed), self._onnx)[0]

    def _outcome(
        self,
        case: str,
        batch: ModelBatch,
        runners: tuple[GraphRunner, GraphRunner],
        reference: Tensors | None,
    ) -> Outcome:
        recorder = Recorder(runners[0])
        modules = run_chain(recorder, batch, self._absent_text, self._sizes)["fusion"]
        measured: list[Measured] = []
        if reference is not None:
            measured += self._compare("modules", case, reference, modules, FUSED)
        logits = {}
        for graph, tensors in recorder.records.items():
            self.examples.setdefault(graph, self._inputs(graph, tensors))
            found, outputs = self._measure(graph, case, tensors, tensors, runners[1])
            measured += found
            if graph == "fusion":
                logits["fusion"] = (tensors["logits"], outputs["logits"])
        # Not before each graph alone: a tensor of another shape would break in the middle of it.
        actual = run_chain(runners[1], batch, self._absent_text, self._sizes)["fusion"]
        expected = modules if reference is None else reference
        measured += self._compare("chain", case, expected, actual, FUSED)
        logits["chain"] = (expected["logits"], actual["logits"])
        return Outcome(case, tuple(measured), logits)

    def _measure(
        self,
        graph: str,
        case: str,
        feed: Tensors,
        expected: Tensors,
        runner: GraphRunner,
    ) -> tuple[tuple[Measured, ...], Tensors]:
        inputs = self._inputs(graph, feed)
        outputs = runner.run(graph, inputs)
        measured = self._compare(graph, case, expected, outputs, self._plans[graph].outputs)
        for one in measured:
            if one.comparison.shapes is not None:
                raise MerEdgeError(
                    f"the exported graphs are not the network: {one}; no bundle was written; "
                    "report this"
                )
        worst = max(measured, key=_rank)
        if graph not in self.suspects or _rank(worst) > _rank(self.suspects[graph].measured):
            self.suspects[graph] = Suspect(worst, inputs)
        return measured, outputs

    def _inputs(self, graph: str, tensors: Tensors) -> Tensors:
        return {name: tensors[name] for name in self._plans[graph].example}

    def _compare(
        self, part: str, case: str, expected: Tensors, actual: Tensors, names: Sequence[str]
    ) -> tuple[Measured, ...]:
        precisions = {"modules": "fp32", "chain": self.chain_precision}
        precision = (precisions | self.precisions)[part]
        return tuple(
            Measured(part, case, compare(name, expected[name], actual[name]), precision)
            for name in names
        )


def _rank(measured: Measured) -> tuple[float, float]:
    return (measured.share_of_limit or 0.0, measured.comparison.max_abs)
