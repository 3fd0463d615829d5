"""Texts of an INT8 graph for the CPU run alone; all others together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mer_edge.bundle import Bundle
from runtime.texts import Texts
from tests.runtime.bundles import make_bundle, make_clip

TEXTS = ["good", None, "good bad day", "bad day"]


class Dynamic:
    """A graph whose output depends on all that is in a run, as one with dynamic ranges does."""

    engine = "dynamic"

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        ids = feeds["input_ids"]
        self.shapes.append(ids.shape)
        largest = ids.max()
        tokens = np.stack([ids, np.full_like(ids, largest)], axis=-1).astype(np.float32)
        return {"text": tokens.sum(axis=1), "tokens": tokens}


def bundle_of(path: Path, precision: str, target: str, tokens: bool) -> Bundle:
    bundle = Bundle.load(make_bundle(path, tokens=tokens))
    manifest = bundle.manifest
    graphs = {**manifest.graphs, "text": replace(manifest.graphs["text"], precision=precision)}
    return replace(bundle, manifest=replace(manifest, graphs=graphs, target=target))


@pytest.mark.parametrize("tokens", [False, True])
def test_what_is_said_of_a_text_does_not_depend_on_the_others(tmp_path: Path, tokens: bool) -> None:
    texts = Texts(bundle_of(tmp_path / "b", "int8", "cpu", tokens))
    clips = [make_clip(text) for text in TEXTS]
    graph = Dynamic()
    together = texts.encode(texts.tokenize(clips), graph)
    assert graph.shapes == [(1, 3), (1, 5), (1, 4)]
    for row, clip in enumerate(clips):
        alone = texts.encode(texts.tokenize([clip]), Dynamic())
        np.testing.assert_array_equal(together.vectors[row], alone.vectors[0])
        if tokens:
            assert together.token_mask is not None
            assert alone.token_mask is not None
            mask = together.token_mask[row]
            np.testing.assert_array_equal(
                together.tokens[row][mask], alone.tokens[0][alone.token_mask[0]]
            )


@pytest.mark.parametrize(("precision", "target"), [("fp32", "cpu"), ("int8", "tensorrt")])
def test_fixed_ranges_run_together(tmp_path: Path, precision: str, target: str) -> None:
    texts = Texts(bundle_of(tmp_path / "b", precision, target, tokens=False))
    graph = Dynamic()
    texts.encode(texts.tokenize([make_clip(text) for text in TEXTS]), graph)
    assert graph.shapes == [(3, 5)]
