from dataclasses import replace

import pytest

from export.tensorrt.profiles import InputProfile, input_profiles
from mer_edge.bundle import Bundle, ShapeRange
from mer_edge.engine_keys import dimension_ranges
from mer_edge.errors import MerEdgeError
from tests.export.tensorrt.conftest import BUNDLE


@pytest.fixture(scope="module")
def manifest():
    return Bundle.load(BUNDLE).manifest


def test_fixed_and_named_sizes(manifest):
    profiles = {}
    for graph in ("visual_stem", "visual"):
        spec = manifest.graphs[graph]
        ranges = dimension_ranges(graph, spec, manifest.shape_ranges)
        assert ranges == {"segments": ShapeRange(1, 5, 64)}
        profiles[graph] = input_profiles(spec, ranges)
    assert profiles == {
        "visual_stem": [
            InputProfile("faces", (1, 224, 224, 3), (5, 224, 224, 3), (64, 224, 224, 3)),
        ],
        "visual": [
            InputProfile("visual_map", (1, 28, 28, 12), (5, 28, 28, 12), (64, 28, 28, 12)),
            InputProfile("text", (1, 32), (5, 32), (64, 32)),
        ],
    }


def test_only_a_graphs_own_dimensions_are_in_its_key(manifest):
    names = {
        graph: list(dimension_ranges(graph, spec, manifest.shape_ranges))
        for graph, spec in manifest.graphs.items()
    }
    assert names == {
        "text": ["batch", "tokens"],
        "audio": ["segments"],
        "visual_stem": ["segments"],
        "visual": ["segments"],
        "fusion": ["batch", "clip_segments"],
    }


def test_clips_have_the_range_of_segments_where_they_have_none(manifest):
    ranges = {k: v for k, v in manifest.shape_ranges.items() if k != "clip_segments"}
    found = dimension_ranges("fusion", manifest.graphs["fusion"], ranges)
    assert found["clip_segments"] == ranges["segments"]


def test_a_dimension_without_a_range_is_refused(manifest):
    spec = manifest.graphs["text"]
    renamed = replace(spec, inputs=[replace(spec.inputs[0], shape=["batch", "words"])])
    with pytest.raises(MerEdgeError, match=r"text\.input_ids.*shape_ranges has no 'words'"):
        dimension_ranges("text", renamed, manifest.shape_ranges)
