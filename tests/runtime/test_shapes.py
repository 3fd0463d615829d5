"""What lies outside a bundle's ranges is refused by name and reaches no engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mer_edge.bundle import Bundle, GraphSpec
from mer_edge.errors import MerEdgeError
from runtime.backend import LoadedGraph, open_backend
from runtime.shapes import load_graphs


class CountingBackend:
    """Any backend: one that only counts what reaches it."""

    def __init__(self) -> None:
        self.runs = 0

    engine = "counting"
    loaders = 1

    def load(self, path: Path, spec: GraphSpec) -> LoadedGraph:
        return self

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        self.runs += 1
        return {}


def text(batch: int, tokens: int) -> dict[str, NDArray[Any]]:
    return dict.fromkeys(("input_ids", "attention_mask"), np.ones((batch, tokens), np.int64))


def audio(segments: int, samples: int = 15_600, rows: int | None = None) -> dict[str, Any]:
    guides = np.zeros((segments if rows is None else rows, 2), np.float32)
    return {"waveform": np.zeros((segments, samples), np.float32), "text": guides}


def fusion(batch: int, segments: int) -> dict[str, NDArray[Any]]:
    masks = np.ones((batch, segments), np.bool_)
    features = np.zeros((batch, segments, 2), np.float32)
    return {
        "audio": features,
        "visual": features,
        "text": np.zeros((batch, 2), np.float32),
        "audio_mask": masks,
        "visual_mask": masks,
        "text_mask": np.ones(batch, np.bool_),
    }


@pytest.mark.parametrize(
    ("graph", "feeds", "message"),
    [
        ("text", text(4, 5), r"input_ids \(4, 5\) has batch 4; expected 1 to 3; run fewer clips"),
        ("text", text(0, 5), r"has batch 0; expected 1 to 3"),
        ("text", text(1, 2), r"has tokens 2; expected 3 to 8; pad a shorter text"),
        ("text", text(1, 9), r"has tokens 9; expected 3 to 8; .* cut a longer one"),
        ("audio", audio(5), r"waveform \(5, 15600\) has segments 5; expected 1 to 4; run fewer"),
        ("audio", audio(2, samples=16_000), r"waveform \(2, 16000\); expected 15600 where it has"),
        ("audio", audio(2, rows=3), r"text \(3, 2\); expected 2 segments as in its other inputs"),
        ("fusion", fusion(4, 2), r"audio \(4, 2, 2\) has batch 4; expected 1 to 3"),
        ("fusion", fusion(1, 7), r"has clip_segments 7; expected 1 to 6; cut the clip"),
        ("fusion", fusion(1, 2) | {"text": np.zeros(2)}, r"text has the shape \(2,\); expected"),
    ],
)
def test_each_dimension_is_refused_by_name(
    bundle: Bundle, graph: str, feeds: dict[str, NDArray[Any]], message: str
) -> None:
    backend = CountingBackend()
    with pytest.raises(MerEdgeError, match=f"the {graph} graph: .*{message}"):
        load_graphs(bundle, backend)[graph].run(feeds)
    assert backend.runs == 0


@pytest.mark.parametrize(
    ("graph", "feeds"),
    [
        ("text", text(1, 3)),
        ("text", text(3, 8)),
        ("audio", audio(1)),
        ("audio", audio(4)),
        ("fusion", fusion(1, 1)),
        ("fusion", fusion(3, 6)),
    ],
)
def test_the_ends_of_the_ranges_run(
    bundle: Bundle, graph: str, feeds: dict[str, NDArray[Any]]
) -> None:
    outputs = load_graphs(bundle, open_backend("cpu", bundle, 1))[graph].run(feeds)
    assert set(outputs) == {tensor.name for tensor in bundle.manifest.graphs[graph].outputs}
