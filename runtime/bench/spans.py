"""When what ran, on which thread: a recording around a chain's graphs, tokenizer and media."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_edge.bundle import STEMS, Bundle
from mer_edge.clip import Clip
from mer_edge.faces.face import Face, FaceDetector
from runtime.arrays import Array, ArrayOps
from runtime.backend import LoadedGraph, open_backend
from runtime.chain import Chain
from runtime.shapes import load_graphs
from runtime.texts import EncodedText, Texts, TokenBatch


@dataclass(frozen=True)
class Span:
    """One stage of one run."""

    name: str
    thread: int
    """As the system numbers it."""
    start_ms: float
    """Since the run began; of ``Recorder`` since it was made."""
    end_ms: float
    run: int = 0

    @property
    def spent_ms(self) -> float:
        return self.end_ms - self.start_ms


class Recorder:
    """Takes spans from any thread."""

    def __init__(self) -> None:
        self._start_s = time.perf_counter()
        self.spans: list[Span] = []
        self.run = 0
        """Goes into the spans that are recorded from now on."""

    @contextmanager
    def record(self, name: str) -> Iterator[None]:
        """A span around the block."""
        start = self.now_ms()
        try:
            yield
        finally:
            thread = threading.get_native_id()
            self.spans.append(Span(name, thread, start, self.now_ms(), self.run))

    def now_ms(self) -> float:
        return (time.perf_counter() - self._start_s) * 1e3


class RecordedGraph:
    """Runs a graph, waits until its outputs are there, and records that."""

    def __init__(self, name: str, graph: LoadedGraph, arrays: ArrayOps, recorder: Recorder) -> None:
        self._name, self._graph, self._arrays, self._recorder = name, graph, arrays, recorder

    @property
    def engine(self) -> str:
        """See ``runtime.backend.LoadedGraph``."""
        return self._graph.engine

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Any]:
        """See ``runtime.backend.LoadedGraph``."""
        with self._recorder.record(self._name):
            outputs = self._graph.run(feeds)
            for array in outputs.values():
                self._arrays.to_host(array)  # an engine with a device may have returned before
        return outputs


class RecordedTexts:
    """The text side; its tokenizing is recorded, its graph records itself."""

    def __init__(self, texts: Texts, recorder: Recorder) -> None:
        self._texts, self._recorder = texts, recorder

    def tokenize(self, clips: Sequence[Clip]) -> TokenBatch:
        """See ``runtime.texts.Texts``."""
        with self._recorder.record("tokenize"):
            return self._texts.tokenize(clips)

    def encode(self, batch: TokenBatch, graph: LoadedGraph) -> EncodedText:
        """See ``runtime.texts.Texts``."""
        return self._texts.encode(batch, graph)


class RecordedDetector:
    """A face detector; each frame it looks at is a span."""

    def __init__(self, detector: FaceDetector, recorder: Recorder) -> None:
        self._detector, self._recorder = detector, recorder
        self.name = detector.name

    def detect(self, frame_rgb: NDArray[np.uint8]) -> list[Face]:
        """See ``mer_edge.faces.face.FaceDetector``."""
        with self._recorder.record("faces"):
            return self._detector.detect(frame_rgb)


class RecordedChain:
    """A bundle's chain whose stages are recorded; graphs of its own are loaded for it.

    Raises:
        MerEdgeError: the bundle or the device, as for ``Recognizer``.
    """

    def __init__(self, bundle: Bundle, device: str, threads: int | None) -> None:
        self.recorder = Recorder()
        self._manifest = bundle.manifest
        self._detector: RecordedDetector | None = None
        backend = open_backend(device, bundle, threads)
        loaded = load_graphs(bundle, backend)
        graphs = {
            name: RecordedGraph(name, graph, backend.arrays, self.recorder)
            for name, graph in loaded.items()
        }
        texts = Texts(bundle, backend.arrays) if "text" in graphs else None
        recorded = RecordedTexts(texts, self.recorder) if texts is not None else None
        self._chain = Chain(bundle, graphs, recorded, backend.arrays)

    def run_clip(self, clip: Clip) -> None:
        """One clip from its arrays."""
        self.recorder.run += 1
        with self.recorder.record("total"):
            self._chain.run([clip])

    def run_file(self, file: Path) -> None:
        """All clips of a file, as ``Recognizer.recognize_all`` makes and runs them."""
        from mer_edge.clips import ClipOptions, for_bundle, load_clips

        self.recorder.run += 1
        options = for_bundle(ClipOptions(), self._manifest)
        with self.recorder.record("total"):
            clips = load_clips(file, options, detector=self._recorded_detector())
            while True:
                with self.recorder.record("media"):
                    clip = next(clips, None)
                if clip is None:
                    break
                self._chain.run([clip])

    def _recorded_detector(self) -> RecordedDetector | None:
        if "visual" not in self._manifest.modalities:
            return None
        if self._detector is None:
            from mer_edge.faces.detector import open_detector

            self._detector = RecordedDetector(open_detector(), self.recorder)
        return self._detector


def spans_of_runs(spans: Sequence[Span]) -> dict[int, list[Span]]:
    """Per run its spans, the clock starting with each run's ``total``, which is left out."""
    totals = {span.run: span for span in spans if span.name == "total"}
    runs: dict[int, list[Span]] = {run: [] for run in totals}
    for span in spans:
        if span.run in totals and span.name != "total":
            start = totals[span.run].start_ms
            moved = replace(span, start_ms=span.start_ms - start, end_ms=span.end_ms - start)
            runs[span.run].append(moved)
    return runs


def totals_ms(spans: Sequence[Span]) -> dict[int, float]:
    """Per run how long it took in all."""
    return {span.run: span.spent_ms for span in spans if span.name == "total"}


def stage_times_ms(spans: Sequence[Span]) -> dict[str, list[float]]:
    """Per stage, its time in each run that has it, several spans added up.

    A stem is part of its encoder's time as well, as in a Result's timings.
    """
    encoder_of = {stem: encoder for encoder, stem in STEMS.items()}
    times: dict[str, dict[int, float]] = {}
    for span in spans:
        for name in {span.name, encoder_of.get(span.name, span.name)}:
            per_run = times.setdefault(name, {})
            per_run[span.run] = per_run.get(span.run, 0.0) + span.spent_ms
    return {name: list(per_run.values()) for name, per_run in times.items() if name != "total"}
