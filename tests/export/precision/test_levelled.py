"""A levelled network: the gain is part of the graph, and stays in float when it is quantised."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch

from export.graphs import trace_graph
from export.precision.front_end import front_end
from export.precision.integer import to_int8
from export.wrappers import plan_graphs
from mer_edge.model.build import build_model
from mer_edge.model.config import TINY, with_variant
from mer_edge.segments import SEGMENT_SAMPLES


@pytest.fixture(scope="module")
def levelled():
    """The audio graph of a tiny network, and the network."""
    config = with_variant(TINY, "audio")
    config = replace(config, audio=replace(config.audio, level_dbfs=-20.0))
    model = build_model(config, seed=1)[0].eval()
    return trace_graph(plan_graphs(model)["audio"], {}), model


@pytest.fixture(scope="module")
def sounds():
    """(4, 15600): noise bursts at -14 to -36 dBFS."""
    rng = np.random.default_rng(0)
    sounds = rng.standard_normal((4, SEGMENT_SAMPLES)) * np.sin(np.arange(SEGMENT_SAMPLES) / 900)
    gains = np.array([[0.2], [0.1], [0.05], [0.02]])
    return (gains * sounds).clip(-1, 1).astype(np.float32)


def run(proto, waveform):
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(["audio"], {"waveform": waveform})[0]


@pytest.mark.parametrize("recipe", ["fp32", "cpu", "tensorrt"])
def test_a_gain_changes_nothing_and_silence_is_finite(levelled, sounds, recipe):
    proto, model = levelled
    feeds = [{"waveform": sounds[i : i + 2]} for i in range(3)]
    converted = proto if recipe == "fp32" else to_int8(proto, feeds, recipe).proto
    expected = run(converted, sounds)
    assert float(np.ptp(expected, axis=0).max()) > 0.1  # the sounds are told apart
    np.testing.assert_allclose(run(converted, sounds / 4), expected, atol=0.02)
    assert np.isfinite(run(converted, np.zeros_like(sounds))).all()
    with torch.inference_mode():
        trained = model.encode_audio(torch.from_numpy(sounds), None).numpy()
    cosine = (expected * trained).sum() / np.sqrt((expected**2).sum() * (trained**2).sum())
    assert cosine > (1 - 1e-6 if recipe == "fp32" else 0.95)


def test_the_levelling_belongs_to_the_front_end(levelled):
    proto, _ = levelled
    front = [node.op_type for node in proto.graph.node if node.name in front_end(proto)]
    assert {"ReduceMean", "Sqrt", "Log"} <= set(front)
    rest = {node.op_type for node in proto.graph.node if node.name not in front_end(proto)}
    assert not {"ReduceMean", "Sqrt", "Div", "Reciprocal", "Log"} & rest
