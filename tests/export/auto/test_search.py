"""What is measured of graphs in several precisions."""

import numpy as np
import onnx
import pytest

from export.auto.agreement import mixes
from export.auto.search import judged, measure_plans
from export.auto.speed import typical_feed
from export.exporter import tokenizer_of
from export.precision.half import to_fp16
from mer_edge.decision import DecisionRule
from mer_edge.samples.clips import load_sample
from mer_edge.samples.manifest import read_manifest
from tests.export.broken import with_noisy_weights


@pytest.fixture(scope="module")
def clips(drawn_clips):
    return [load_sample(sample) for sample in read_manifest(drawn_clips)[:6]]


def test_a_feed_has_the_sizes_the_graphs_are_optimised_for(exported):
    manifest = exported.bundle.manifest
    feed = typical_feed(manifest.graphs["text"], manifest.shape_ranges)
    assert feed["input_ids"].shape == (1, 32)
    assert feed["attention_mask"].tolist() == [[1] * 32]
    feed = typical_feed(manifest.graphs["visual_stem"], manifest.shape_ranges)
    assert feed["faces"].shape == (5, 224, 224, 3)
    assert feed["faces"].dtype == np.uint8
    assert feed["faces"].max() > 200
    feed = typical_feed(manifest.graphs["visual"], manifest.shape_ranges)
    assert feed["visual_map"].shape == (5, 28, 28, 12)


def test_every_mix_is_measured_against_fp32(exported, clips, tmp_path):
    files = {(name, "fp32"): file for name, file in exported.files.items()}
    half = tmp_path / "visual.onnx"
    onnx.save(to_fp16(onnx.load(exported.files["visual"])), half)
    files["visual", "fp16"] = half
    # Stands for an INT8 that ruins the graph.
    noisy = with_noisy_weights(exported.files["audio"], tmp_path / "audio.onnx", 0.3)
    files["audio", "int8"] = noisy
    assert len(mixes(files)) == 4
    told = []
    manifest = exported.bundle.manifest
    plans = measure_plans(
        exported.checkpoint.model,
        files,
        manifest.graphs,
        manifest.shape_ranges,
        exported.checkpoint.rule,
        clips,
        tokenizer_of(exported.checkpoint),
        lambda *step: told.append(step),
    )
    by_mix = {(p.precisions["audio"], p.precisions["visual"]): p for p in plans}
    plain, halved = by_mix["fp32", "fp32"], by_mix["fp32", "fp16"]
    ruined = by_mix["int8", "fp32"]
    assert (plain.agreement, plain.mean_probability_change) == (1.0, 0.0)
    assert 0 < halved.mean_probability_change < 1e-3 < ruined.mean_probability_change
    assert plain.bytes == sum(file.stat().st_size for file in exported.files.values())
    saved = exported.files["visual"].stat().st_size - half.stat().st_size
    assert plain.bytes - halved.bytes == saved
    # Latencies of graphs add up: the same graph costs the same in every mix.
    delta = halved.latency_ms - plain.latency_ms
    both = by_mix["int8", "fp16"].latency_ms - ruined.latency_ms
    assert both == pytest.approx(delta)
    assert told[-1] == ("measuring agreement", 6, 6)


def test_what_is_not_a_number_agrees_with_nothing():
    reference = np.array([[0.1, 0.9], [0.2, 0.8]])
    found = np.array([[np.nan, 0.9], [0.2, 0.4]])
    assert judged(reference, found, DecisionRule("multilabel", (0.5, 0.5))) == (
        0.5,
        (1.0 + 0.4) / 4,
    )


def test_exclusive_labels_agree_by_their_most_probable():
    reference = np.array([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.2, 0.2, 0.6]])
    found = np.array([[0.5, 0.4, 0.1], [0.5, 0.4, 0.1], [np.nan, 0.2, 0.6]])
    agreement, change = judged(reference, found, DecisionRule("multiclass"))
    assert agreement == pytest.approx(1 / 3)
    assert change == pytest.approx((0.4 + 0.4 + 1.0) / 9)
