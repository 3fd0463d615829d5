"""PyTorch against the exported graphs: how far the decisions are apart, and where it starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from export.cases import Case, make_batch
from export.chain import absent_text_of, encoder_sizes, run_chain
from export.graphs import GraphPlan
from export.runners import GraphRunner, Memo, OnnxRunner, Tensors, TorchRunner
from mer_edge.bundle import GRAPHS
from mer_edge.errors import MerEdgeError
from mer_edge.model.mer import MerModel, ModelBatch
from mer_edge.parity.comparison import Comparison, compare

TOLERANCE = 1e-4
"""The largest difference between two logits that lets a bundle out."""


@dataclass(frozen=True)
class CaseResult:
    """``MerModel.forward`` against the chained graphs on one batch."""

    case: Case
    logits: Comparison
    decisions: Comparison
    weights: Comparison

    @property
    def worst(self) -> Comparison:
        """The output that is farthest apart."""
        return max((self.logits, self.decisions, self.weights), key=lambda c: c.max_abs)


@dataclass(frozen=True)
class ParityReport:
    """All cases; at least one."""

    results: tuple[CaseResult, ...]
    tolerance: float

    @property
    def worst(self) -> CaseResult:
        return max(self.results, key=lambda result: result.worst.max_abs)

    @property
    def max_abs_logit_difference(self) -> float:
        return max(result.logits.max_abs for result in self.results)

    @property
    def passed(self) -> bool:
        """Every output of every case is finite and within the tolerance."""
        return all(result.worst.within(self.tolerance) for result in self.results)


class ParityCheck:
    """A model and its exported graphs, to be run on the same clips.

    Args:
        model: in evaluation mode.
        plans: the modules the graphs were traced from, to find where a difference starts.
        files: per graph its ONNX file.
        seed: of the random clips.
    """

    def __init__(
        self, model: MerModel, plans: dict[str, GraphPlan], files: dict[str, Path], seed: int = 0
    ) -> None:
        self._model = model
        self._absent_text = absent_text_of(model)
        self._sizes = encoder_sizes(model.config)
        self._onnx = Memo(OnnxRunner(files))
        self._torch = TorchRunner(plans)
        self._seed = seed

    def run(
        self,
        cases: Iterable[Case],
        tolerance: float = TOLERANCE,
        progress: Callable[[Case], Any] | None = None,
    ) -> ParityReport:
        """Compare on every case; ``progress`` is told each case that is done."""
        results = []
        for case in cases:
            results.append(self.compare(case))
            if progress:
                progress(case)
        return ParityReport(tuple(results), tolerance)

    def compare(self, case: Case) -> CaseResult:
        """Run both sides on the case's clips."""
        batch = make_batch(self._model.config, case, self._seed)
        with torch.inference_mode():
            fused = self._model(batch)
        actual = self._chain(self._onnx, batch)["fusion"]
        reference = fused._asdict()
        return CaseResult(
            case,
            **{
                name: compare(name, reference[name].numpy(), actual[name])
                for name in ("logits", "decisions", "weights")
            },
        )

    def first_difference(self, case: Case, tolerance: float) -> tuple[str, Comparison] | None:
        """The first graph, in the order they run, that leaves its module by more than allowed.

        Features may be large, so what is allowed grows with the largest value of the reference.
        None when every graph stays within it: then the difference is not in the tracing.
        """
        batch = make_batch(self._model.config, case, self._seed)
        reference = self._chain(self._torch, batch)
        actual = self._chain(self._onnx, batch)
        for graph in (graph for graph in GRAPHS if graph in reference):
            for name, expected in reference[graph].items():
                if expected.dtype != np.float32:
                    continue
                comparison = compare(name, expected, actual[graph][name])
                if not comparison.within(tolerance * max(1.0, comparison.reference_max_abs)):
                    return graph, comparison
        return None

    def require(self, report: ParityReport) -> None:
        """Raise unless the report passed.

        Raises:
            MerEdgeError: names the worst case, its difference and the first graph that differs.
        """
        if report.passed:
            return
        worst = report.worst
        first = self.first_difference(worst.case, report.tolerance)
        where = f"the first graph to differ is {first[0]} ({first[1]})" if first else "no one graph"
        raise MerEdgeError(
            f"the exported graphs differ from the PyTorch model by more than {report.tolerance:g}: "
            f"{worst.worst} for {worst.case}; {where}; no bundle was written; check the training "
            "run's weights, and report this if they are sound"
        )

    def _chain(self, runner: GraphRunner, batch: ModelBatch) -> dict[str, Tensors]:
        return run_chain(runner, batch, self._absent_text, self._sizes)
