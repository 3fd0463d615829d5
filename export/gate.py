"""The gate: no bundle is written unless the graphs decide like the network they are made of.

What is measured: ``export.side_by_side``; on which clips: ``export.cases`` and the caller's; what
is allowed: ``mer_edge.parity.limits``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from export.cases import Case, gate_cases
from export.extremes import Extreme, extremes_of, repeated
from export.first_layer import first_layer
from export.golden import golden_batches
from export.graphs import GraphPlan, write_graph
from export.manifest import shape_ranges
from export.runners import Tensors
from export.side_by_side import Outcome, SideBySide, Suspect
from mer_edge.bundle import GRAPHS, GraphSpec, Parity
from mer_edge.clip import Clip
from mer_edge.decision import DecisionRule
from mer_edge.errors import MerEdgeError
from mer_edge.model.mer import MerModel
from mer_edge.parity.decisions import GOLDEN, RANDOM, REAL, pooled_decisions
from mer_edge.parity.limits import LIMITS
from mer_edge.parity.record import DecisionParity
from mer_edge.parity.report import Measured, ParityReport, describe
from mer_edge.processor import LARGEST_SUM
from mer_edge.text.tokenizer import TextTokenizer

T = TypeVar("T")
U = TypeVar("U")
Progress = Callable[[str, int, int], None]
"""Told ``(what, done, total)`` after each case, clip and shape."""


@dataclass(frozen=True)
class GateReport:
    """What was measured, and what is needed to find where a difference begins."""

    parity: ParityReport
    plans: Mapping[str, GraphPlan]
    files: Mapping[str, Path]
    suspects: Mapping[str, Suspect]
    originals: Mapping[str, Path]

    @property
    def passed(self) -> bool:
        return self.parity.passed

    def to_manifest(self) -> Parity:
        """The report as the bundle's manifest has it."""
        return self.parity.to_parity()

    def require(self) -> None:
        """Raise unless everything is within its limits.

        Raises:
            MerEdgeError: names the first part that differs, the layer in it, and by how much.
        """
        if self.passed:
            return
        first = self.parity.failures[0]
        raise MerEdgeError(
            "the exported graphs do not decide like the PyTorch model: the first part to differ "
            f"is {describe(first)}{self._inside(first)}; no bundle was written; {_advice(first)}"
        )

    def _inside(self, first: Measured | DecisionParity) -> str:
        """The layer where it begins; where only the chain differs, in the graph nearest to its
        limits."""
        graph = first.part
        if graph not in self.plans:
            graph = max(self.suspects, key=lambda name: self._share(name))
            if first.part == "modules":
                return ""
        suspect = self.suspects[graph]
        where = "" if graph == first.part else f"; nearest to its limits is {suspect.measured}"
        limits = LIMITS[suspect.measured.precision]
        with tempfile.TemporaryDirectory(prefix="mer-edge-gate-") as folder:
            original = self.originals.get(graph)
            if original is None:
                original = Path(folder) / f"{graph}.onnx"
                write_graph(self.plans[graph], original, {})
            layer = first_layer(original, self.files[graph], _one_row(suspect), limits)
        if layer is None:
            return where
        return f"{where}; in the {graph} graph it begins at {layer[0]}: {layer[1]}"

    def _share(self, graph: str) -> float:
        return self.suspects[graph].measured.share_of_limit or 0.0


def require_exact_sums(graphs: Mapping[str, GraphSpec]) -> None:
    """The worst case on any processor: no input may make a sum of two products leave 16 bits.

    Raises:
        MerEdgeError: a graph in eight bits can, so that processors without VNNI would compute
            something else than this one.
    """
    for name, spec in graphs.items():
        if spec.precision == "int8" and (spec.largest_pair_sum or 0) > LARGEST_SUM:
            raise MerEdgeError(
                f"two products of the INT8 {name} graph can add up to {spec.largest_pair_sum:,}; "
                f"expected at most {LARGEST_SUM:,}, which every processor holds; no bundle was "
                "written; report this"
            )


def run_gate(
    model: MerModel,
    plans: Mapping[str, GraphPlan],
    files: Mapping[str, Path],
    precisions: Mapping[str, str],
    rule: DecisionRule,
    clips: Sequence[Clip] = (),
    progress: Progress | None = None,
    *,
    tokenizer: TextTokenizer | None = None,
    originals: Mapping[str, Path] | None = None,
    cases: Sequence[Case] | None = None,
    seed: int = 0,
) -> GateReport:
    """Run the model and its graphs side by side.

    Args:
        model: in evaluation mode.
        plans: the modules the graphs were traced from.
        files: per graph its ONNX file.
        precisions: per graph ``fp32``, ``fp16`` or ``int8``; the loosest rules the chain.
        rule: how logits become a decision.
        clips: somebody's, not those the graphs were calibrated with; there may be none.
        tokenizer: the text encoder's, for ``clips``.
        originals: per graph its fp32 file, to find the layer in which a difference begins; a graph
            without one is traced again for that.
        cases: the random ones; ``gate_cases`` if None.
        seed: of the random clips.

    Raises:
        MerEdgeError: a graph does not run on a shape, or gives another shape than the network; or
            the clips have text and ``tokenizer`` is None.
    """
    _check(model, clips, tokenizer)
    both = SideBySide(model, plans, files, precisions, seed)
    cases = gate_cases(model.config) if cases is None else cases
    golden = list(golden_batches(model).items())
    ranges = shape_ranges(model.config)
    found = [extremes_of(plan, ranges) for plan in plans.values()]
    runs = [extreme for chosen, _ in found for extreme in chosen]
    ticks = _Ticks(progress, len(clips) + len(cases) + len(golden) + len(runs))
    # The clips first: what the graphs see of them is what the longest shapes are made of.
    real = ticks.over(clips, "real clips", lambda clip: both.clip(clip, tokenizer))
    random = ticks.over(cases, "random clips", both.case)
    # Those that anybody can repeat must pass by themselves, or the bundle would not verify.
    kept = ticks.over(golden, "golden clips", lambda one: both.batch(f"golden {one[0]}", one[1]))
    long = ticks.over(runs, "longest shapes", lambda run: _run_extreme(both, plans, run))
    measured = [one for outcome in (*real, *random, *kept) for one in outcome.measured]
    report = ParityReport(
        precisions=both.precisions,
        measured=[*measured, *(one for found in long for one in found)],
        decisions=[
            *_decisions(both, REAL, real, rule),
            *_decisions(both, RANDOM, random, rule),
            *_decisions(both, GOLDEN, kept, rule),
        ],
        cases=len(cases),
        real_clips=len(clips),
        shapes=_shapes(cases, runs, [one for _, left in found for one in left]),
    )
    return GateReport(report, plans, files, both.suspects, originals or {})


def _check(model: MerModel, clips: Sequence[Clip], tokenizer: TextTokenizer | None) -> None:
    if tokenizer is None and model.text_encoder is not None and any(clip.text for clip in clips):
        raise MerEdgeError(
            "the clips to compare on have text, but there is no tokenizer; pass the model's"
        )


class _Ticks:
    """Counts the runs for whoever watches."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def over(self, items: Sequence[T], what: str, work: Callable[[T], U]) -> list[U]:
        results = []
        for item in items:
            results.append(work(item))
            self._done += 1
            if self._progress:
                self._progress(what, self._done, self._total)
        return results


def _run_extreme(
    both: SideBySide, plans: Mapping[str, GraphPlan], run: Extreme
) -> tuple[Measured, ...]:
    plan = plans[run.graph]
    return both.alone(run.graph, repeated(plan, both.examples[run.graph], run.sizes), str(run))


def _decisions(
    both: SideBySide, source: str, outcomes: Sequence[Outcome], rule: DecisionRule
) -> Iterator[DecisionParity]:
    """Of fusion alone and of the chain."""
    precisions = {"fusion": both.precisions["fusion"], "chain": both.chain_precision}
    for part, precision in precisions.items():
        logits = [(outcome.case, *outcome.logits[part]) for outcome in outcomes]
        found = pooled_decisions(part, source, logits, rule, LIMITS[precision])
        if found:
            yield found


def _shapes(cases: Sequence[Case], runs: Sequence[Extreme], left: Sequence[Extreme]) -> list[str]:
    shapes = sorted({case.shape for case in cases})
    return [
        *(f"chain: {s.clips} x {s.segments} segments, {s.tokens} tokens" for s in shapes),
        *map(str, runs),
        *(f"not run, it takes too long: {extreme}" for extreme in left),
    ]


def _one_row(suspect: Suspect) -> Tensors:
    """The inputs of the clip, or the segment, with the largest difference."""
    row = suspect.measured.comparison.index[0]
    return {name: array[row : row + 1] for name, array in suspect.feed.items()}


def _advice(first: Measured | DecisionParity) -> str:
    part = first.part if first.part in GRAPHS else "graphs"
    if isinstance(first, Measured) and first.precision == "fp32":
        return "check the training run's weights, and report this if they are sound"
    return f"keep the {part} in a higher precision, or calibrate with more clips"
