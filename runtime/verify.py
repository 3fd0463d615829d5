"""Does a bundle still give here what PyTorch gave where it was exported? Told without PyTorch.

The golden tensors go through each graph alone and then, as clips, through the same chain that
``mer-edge infer`` runs; both are held against the limits of the graphs' precisions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_edge.bundle import FUSED, GOLDEN, GRAPHS, MAPS, STEMS, Bundle, load_golden_cases
from mer_edge.clip import Clip
from mer_edge.errors import MerEdgeError
from mer_edge.golden import GoldenCase, maps_from
from mer_edge.parity.comparison import compare
from mer_edge.parity.decisions import GOLDEN as GOLDEN_CLIPS
from mer_edge.parity.decisions import pooled_decisions
from mer_edge.parity.limits import LIMITS, loosest
from mer_edge.parity.report import Measured, ParityReport, describe
from mer_edge.segments import FACE_SIZE_PX, SEGMENT_SAMPLES
from runtime.arrays import ArrayOps
from runtime.backend import Backend, LoadedGraph
from runtime.chain import Chain
from runtime.shapes import load_graphs
from runtime.texts import EncodedText, Texts, TokenBatch

Progress = Callable[[str, int, int], None]
"""Told ``(what, done, total)`` after each case."""
Logits = list[tuple[str, NDArray[Any], NDArray[Any]]]


@dataclass(frozen=True)
class Verification:
    """What was measured, and what did not run at all."""

    parity: ParityReport
    errors: list[str] = field(default_factory=list)
    """Graphs and cases that the engine failed on."""
    engine: str = ""

    @property
    def passed(self) -> bool:
        return not self.errors and self.parity.passed

    @property
    def first_difference(self) -> str:
        """The first graph that fails or differs, with by how much; empty where none does."""
        if self.errors:
            return self.errors[0]
        failures = self.parity.failures
        return describe(failures[0]) if failures else ""


class GoldenTexts:
    """Stands for the tokenizer: gives the token ids that were recorded."""

    def __init__(self, texts: Texts, batch: TokenBatch) -> None:
        self._texts = texts
        self._batch = batch

    def tokenize(self, clips: Sequence[Clip]) -> TokenBatch:
        """The recorded ids, whatever the clips say."""
        return self._batch

    def encode(self, batch: TokenBatch, graph: LoadedGraph) -> EncodedText:
        """See ``runtime.texts.Texts``."""
        return self._texts.encode(batch, graph)


def verify(bundle: Bundle, backend: Backend, progress: Progress | None = None) -> Verification:
    """Run every golden case on ``backend``.

    Raises:
        MerEdgeError: the golden tensors are not what the bundle's graphs take, or the engine
            refuses a graph.
    """
    run = _Run(bundle, load_graphs(bundle, backend), backend.arrays)
    for done, (name, case) in enumerate(run.cases.items(), 1):
        run.measure(name, case)
        if progress:
            progress("golden clips", done, len(run.cases))
    return run.verification()


class _Run:
    """Collects what is measured."""

    def __init__(self, bundle: Bundle, graphs: Mapping[str, LoadedGraph], arrays: ArrayOps) -> None:
        self._bundle = bundle
        self._graphs = graphs
        self._arrays = arrays
        self._specs = bundle.manifest.graphs
        self._precisions = {name: spec.precision for name, spec in self._specs.items()}
        _check_precisions(bundle, self._precisions)
        self._texts = Texts(bundle, arrays) if "text" in graphs else None
        self.cases = load_golden_cases(bundle)
        _check_cases(bundle, self.cases)
        self._measured: list[Measured] = []
        self._errors: list[str] = []
        self._logits: dict[str, Logits] = {"fusion": [], "chain": []}

    def measure(self, name: str, case: GoldenCase) -> None:
        """Each graph of the case alone, and its clips through the chain."""
        try:
            given: dict[str, dict[str, NDArray[Any]]] = {}
            for graph in (graph for graph in GRAPHS if graph in case.graphs):
                given[graph] = self._alone(name, graph, case.graphs[graph], maps_from(given))
            self._chain(name, case)
        except MerEdgeError as error:  # the rest of the cases may tell more
            self._errors.append(f"{error} (golden case {name})")

    def verification(self) -> Verification:
        decisions = []
        rule = self._bundle.manifest.rule
        for part, logits in self._logits.items():
            precision = self._precision(part)
            found = pooled_decisions(part, GOLDEN_CLIPS, logits, rule, LIMITS[precision])
            if found:
                decisions.append(found)
        report = ParityReport(
            self._precisions, self._measured, decisions, cases=len(self.cases), real_clips=0
        )
        engines = dict.fromkeys(graph.engine for graph in self._graphs.values())
        return Verification(report, self._errors, " + ".join(engines))

    def _precision(self, part: str) -> str:
        return loosest(self._precisions.values()) if part == "chain" else self._precisions[part]

    def _alone(
        self,
        name: str,
        graph: str,
        tensors: Mapping[str, NDArray[Any]],
        maps: Mapping[str, NDArray[Any]],
    ) -> dict[str, NDArray[Any]]:
        """The graph on its golden inputs, or on a stem's map where the bundle keeps none."""
        spec = self._specs[graph]
        known = {**maps, **tensors}
        feeds = {x.name: known[x.name] for x in spec.inputs}
        given = self._graphs[graph].run(feeds)
        outputs = {name: self._arrays.to_host(array) for name, array in given.items()}
        where = name if feeds.keys() <= tensors.keys() else f"{name}, on the map that its stem gave"
        expected = [x.name for x in spec.outputs if x.name in tensors]
        self._compare(graph, where, tensors, outputs, expected)
        if graph == "fusion":
            self._logits["fusion"].append((name, tensors["logits"], outputs["logits"]))
        return outputs

    def _chain(self, name: str, case: GoldenCase) -> None:
        texts = None
        if self._texts is not None:
            texts = GoldenTexts(self._texts, _tokens(case))
        output = Chain(self._bundle, self._graphs, texts, self._arrays).run(_clips(name, case))
        expected = case.graphs["fusion"]
        actual = {key: getattr(output, key) for key in FUSED}
        self._compare("chain", name, expected, actual, FUSED)
        self._logits["chain"].append((name, expected["logits"], output.logits))

    def _compare(
        self,
        part: str,
        case: str,
        expected: Mapping[str, NDArray[Any]],
        actual: Mapping[str, NDArray[Any]],
        names: Sequence[str],
    ) -> None:
        precision = self._precision(part)
        for name in names:
            found = compare(name, expected[name], actual[name])
            if found.shapes is not None:
                raise MerEdgeError(f"the {part}: {found}")
            self._measured.append(Measured(part, case, found, precision))


def _tokens(case: GoldenCase) -> TokenBatch:
    present = case.present["text"]
    text = case.graphs.get("text")
    if text is None:  # a case without text does not run the text graph
        ids = mask = np.zeros((0, 3), np.int64)
    else:
        ids, mask = text["input_ids"], text["attention_mask"]
    return TokenBatch(present, ids, mask, (None,) * len(present))


def _clips(name: str, case: GoldenCase) -> list[Clip]:
    """The case's clips, the present segments' signals at their places."""
    masks = {modality: case.present[modality] for modality in ("audio", "visual")}
    shape = masks["audio"].shape
    waveform = np.zeros((*shape, SEGMENT_SAMPLES), np.float32)
    faces = np.zeros((*shape, FACE_SIZE_PX, FACE_SIZE_PX, 3), np.uint8)
    if "audio" in case.graphs:
        waveform[masks["audio"]] = case.graphs["audio"]["waveform"]
    for graph in ("visual_stem", "visual"):
        if "faces" in case.graphs.get(graph, {}):
            faces[masks["visual"]] = case.graphs[graph]["faces"]
    return [
        Clip(
            text="golden" if case.present["text"][row] else None,
            waveform=waveform[row],
            faces=faces[row],
            audio_present=masks["audio"][row],
            face_present=masks["visual"][row],
            source=f"golden case {name}, clip {row}",
        )
        for row in range(shape[0])
    ]


def _check_precisions(bundle: Bundle, precisions: Mapping[str, str]) -> None:
    for graph, precision in precisions.items():
        if precision not in LIMITS:
            raise MerEdgeError(
                f"{bundle.path}: the {graph} graph's precision is {precision!r}; this mer-edge "
                f"knows the limits of {', '.join(LIMITS)}; update mer-edge"
            )


def _check_cases(bundle: Bundle, cases: Mapping[str, GoldenCase]) -> None:
    """Every case has what its graphs take and give, and the clips it is made of."""
    for name, case in cases.items():
        missing = [f"clip.{key}" for key in ("audio", "visual", "text") if key not in case.present]
        missing += ["fusion"] if "fusion" not in case.graphs else []
        missing += [
            stem
            for encoder, stem in STEMS.items()
            if stem in bundle.manifest.graphs and encoder in case.graphs and stem not in case.graphs
        ]
        for graph, tensors in case.graphs.items():
            spec = bundle.manifest.graphs.get(graph)
            stated = (*spec.inputs, *spec.outputs) if spec else ()
            missing += [
                f"{graph}.{x.name}"
                for x in stated
                if x.name not in tensors and x.name not in MAPS.values()
            ]
        if missing:
            raise MerEdgeError(
                f"{bundle.path / GOLDEN}: the case {name} has no {', '.join(missing)}; export the "
                "bundle again"
            )
    if not cases:
        raise MerEdgeError(f"{bundle.path / GOLDEN}: no case in it; export the bundle again")
