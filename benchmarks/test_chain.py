"""pytest-benchmark suites of a bundle: `make bench BUNDLE=...` (default: the tests' tiny one).

Files, graphs and the chain as `mer-edge bench` runs them; the threads are those of THREADS, or the
engine's choice.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from mer_edge.bundle import GRAPHS, Bundle
from mer_edge.clip import Clip
from runtime.arrays import Array
from runtime.backend import LoadedGraph, open_backend
from runtime.bench.workload import synthetic_clip
from runtime.chain import Chain
from runtime.recognizer import Recognizer
from runtime.shapes import load_graphs
from runtime.texts import Texts

TINY = Path(__file__).resolve().parents[1] / "tests" / "data" / "tiny-bundle"
SEGMENTS, TOKENS, BATCH = 5, 32, 4


class Fed:
    """Passes on to a graph and keeps what it was fed."""

    def __init__(self, graph: LoadedGraph) -> None:
        self.graph = graph
        self.feeds: Mapping[str, Array] = {}

    @property
    def engine(self) -> str:
        return self.graph.engine

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Any]:
        self.feeds = feeds
        return self.graph.run(feeds)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load(os.environ.get("BUNDLE", TINY))


@pytest.fixture(scope="module")
def threads() -> int | None:
    return int(os.environ["THREADS"]) if os.environ.get("THREADS") else None


@pytest.fixture(scope="module")
def clip(bundle: Bundle) -> Clip:
    return synthetic_clip(bundle, SEGMENTS, TOKENS)


@pytest.fixture(scope="module")
def recognizer(bundle: Bundle, threads: int | None) -> Recognizer:
    return Recognizer(bundle, threads=threads)


@pytest.fixture(scope="module")
def fed(bundle: Bundle, clip: Clip, threads: int | None) -> dict[str, Fed]:
    """Every graph with the inputs that the chain gives it."""
    backend = open_backend("cpu", bundle, threads)
    graphs = {name: Fed(graph) for name, graph in load_graphs(bundle, backend).items()}
    texts = Texts(bundle, backend.arrays) if "text" in graphs else None
    Chain(bundle, graphs, texts, backend.arrays).run([clip])
    return graphs


def test_load_bundle(benchmark: BenchmarkFixture, bundle: Bundle) -> None:
    """Reading, hashing and checking."""
    benchmark.pedantic(Bundle.load, args=(bundle.path,), rounds=5)


def test_open_sessions(benchmark: BenchmarkFixture, bundle: Bundle, threads: int | None) -> None:
    """Graphs loaded and optimised."""
    benchmark.pedantic(Recognizer, args=(bundle,), kwargs={"threads": threads}, rounds=5)


def test_tokenize(benchmark: BenchmarkFixture, bundle: Bundle, clip: Clip) -> None:
    if "text" not in bundle.manifest.graphs:
        pytest.skip("the bundle reads no text")
    texts = Texts(bundle)
    assert benchmark(texts.tokenize, [clip]).input_ids.shape == (1, TOKENS)


@pytest.mark.parametrize("name", GRAPHS)
def test_graph(benchmark: BenchmarkFixture, fed: dict[str, Fed], name: str) -> None:
    if name not in fed:
        pytest.skip("the bundle has no such graph")
    outputs = benchmark(fed[name].graph.run, fed[name].feeds)
    assert outputs


def test_one_clip(benchmark: BenchmarkFixture, recognizer: Recognizer, clip: Clip) -> None:
    """From the clip's arrays to the result."""
    assert benchmark(recognizer.recognize, clip).segments == SEGMENTS


def test_a_batch(benchmark: BenchmarkFixture, recognizer: Recognizer, clip: Clip) -> None:
    assert len(benchmark(recognizer.run_batch, [clip] * BATCH)) == BATCH
