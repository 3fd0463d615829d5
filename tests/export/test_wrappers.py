"""Which graphs a network is cut into."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from export.wrappers import plan_graphs
from mer_edge.bundle import GRAPHS
from mer_edge.model.build import build_model
from tests.variants import CELLS, SMALL

WITHOUT_STEM = {"mer", "mer-mbt", "audio", "audio-sem", "visual", "text"}


@pytest.mark.parametrize("name", CELLS)
def test_a_variant_has_a_stem_if_text_guides_its_face_encoder(name: str) -> None:
    plans = plan_graphs(build_model(CELLS[name])[0])
    assert list(plans) == [graph for graph in GRAPHS if graph in plans]  # in the order they run
    assert ("visual_stem" in plans) is (name not in WITHOUT_STEM)
    if "visual" in plans:
        taken = list(plans["visual"].example)
        assert taken == (["faces"] if name in WITHOUT_STEM else ["visual_map", "text"])


@pytest.mark.parametrize(
    ("positions", "shape"),
    [((1,), (56, 56, 4)), ((2, 3), (56, 56, 4)), ((3, 5), (28, 28, 4)), ((5,), (7, 7, 8))],
)
def test_the_stem_ends_where_the_first_sem_stands(
    positions: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    plans = plan_graphs(build_model(replace(SMALL, visual_sem_positions=positions))[0])
    stem, tail = plans["visual_stem"], plans["visual"]
    assert (list(stem.example), stem.outputs, tail.outputs) == (
        ["faces"],
        ("visual_map",),
        ("visual",),
    )
    assert tail.example["visual_map"].shape[1:] == shape
    assert tail.dynamic["visual_map"] == {0: "segments"}
    with torch.inference_mode():
        (faces,) = stem.example.values()
        assert torch.equal(stem.module(faces), tail.example["visual_map"])


def test_without_sems_the_face_encoder_is_one_graph() -> None:
    model, _ = build_model(replace(SMALL, visual_sem_positions=()))
    plans = plan_graphs(model)
    assert list(plans) == ["text", "audio", "visual", "fusion"]
    assert list(plans["visual"].example) == ["faces"]
    assert list(plans["audio"].example) == ["waveform", "text"]
