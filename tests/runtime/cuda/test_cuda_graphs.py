"""CUDA graphs: captured once a bucket, launched with the inputs of the moment, or told why not."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.cuda import graph as device_graph
from runtime.cuda import trt_engine
from tests.runtime.bundles import expected_logits, make_clip
from tests.runtime.cuda import fake_tensorrt
from tests.runtime.cuda.fake_cuda import cudaError_t
from tests.runtime.cuda.fake_tensorrt import CudaGraphStrategy

CLIPS = [
    make_clip("good day", [0.25, 0.75], [51, 102]),
    make_clip("bad day", [0.5, 1.0], [7, 250]),
    make_clip("day good", [0.125, 0.0], [0, 33]),
]


def launches(made):
    return len(made.cuda.calls("cudaGraphLaunch"))


@pytest.mark.parametrize("seed", range(4))
def test_a_captured_graph_reads_the_new_input(rig, seed):
    """The first run warms up, the second is captured, later ones launch: all on other inputs."""
    made = rig(seed=seed)
    chain = made.chain()
    for count, clip in enumerate((*CLIPS, *CLIPS[::-1])):
        runs = len([x for x in made.cuda.log if x[0].startswith("run ")])
        output = chain.run([clip])
        np.testing.assert_allclose(output.logits, [expected_logits(clip)], rtol=1e-5)
        enqueued = len([x for x in made.cuda.log if x[0].startswith("run ")]) - runs
        assert enqueued == (4 if count < 2 else 0)  # by TensorRT; later CUDA alone
        assert launches(made) == 4 * count
    assert len(made.cuda.calls("cudaStreamBeginCapture")) == 4
    assert made.cuda.live_graphs == 4
    assert output.engine == "TensorRT 10.13.2 on Orin, CUDA graphs"


def test_each_bucket_has_a_graph_and_a_context_of_its_own(rig):
    made = rig()
    chain = made.chain()
    one = [make_clip("good day", [0.5], [3])]
    for clips in (CLIPS[:1], one, CLIPS[:1], one, CLIPS[:1], one):
        output = chain.run(clips)
        np.testing.assert_allclose(output.logits, [expected_logits(clips[0])], rtol=1e-5)
    # The text has one bucket, the encoders and the fusion have two.
    assert made.cuda.live_graphs == 7
    assert len(made.tensorrt.contexts) == 7


def test_texts_of_like_length_share_a_bucket(rig, tokens_bundle):
    made = rig(bundle=tokens_bundle)
    chain = made.chain()
    for words in (9, 10, 9):  # with [CLS] and [SEP] 11 and 12 tokens
        chain.encode_texts([make_clip("day " * words)])
    assert made.cuda.live_graphs == 1
    assert len(made.cuda.calls("cudaGraphLaunch")) == 2


@pytest.mark.parametrize("call", ["cudaStreamBeginCapture", "cudaGraphInstantiate"])
def test_a_refused_capture_is_told_and_the_numbers_stay_right(rig, call):
    made = rig()
    chain = made.chain()
    chain.run(CLIPS[:1])
    made.cuda.fails[call] = cudaError_t.cudaErrorStreamCaptureUnsupported
    for clip in CLIPS:
        output = chain.run([clip])
        np.testing.assert_allclose(output.logits, [expected_logits(clip)], rtol=1e-5)
    # The text graph alone was refused, the others are captured.
    title = "TensorRT 10.13.2 on Orin"
    assert output.engine == (
        f"{title}, CUDA graphs + {title}, without a CUDA graph: cudaErrorStreamCaptureUnsupported"
    )
    assert len(made.cuda.calls("cudaStreamBeginCapture")) == 4  # nobody tries again and again


def test_an_engine_that_cannot_be_captured_runs_without(rig):
    made = rig()
    made.tensorrt.cannot_capture = True
    chain = made.chain()
    for clip in CLIPS:
        output = chain.run([clip])
        np.testing.assert_allclose(output.logits, [expected_logits(clip)], rtol=1e-5)
    assert "without a CUDA graph: " in output.engine
    assert "operation not permitted when stream is capturing" in output.engine
    assert made.cuda.live_graphs == 0
    assert not made.cuda._captures  # no stream is left capturing: it would run nothing any more


def test_without_cuda_graphs_nothing_is_captured(rig):
    made = rig(cuda_graphs=False)
    chain = made.chain()
    for clip in CLIPS:
        output = chain.run([clip])
    assert output.engine == "TensorRT 10.13.2 on Orin"
    assert made.cuda.calls("cudaStreamBeginCapture") == []


def test_rtx_captures_by_itself(rig):
    made = rig(version="rtx")
    chain = made.chain()
    for clip in CLIPS:
        output = chain.run([clip])
        np.testing.assert_allclose(output.logits, [expected_logits(clip)], rtol=1e-5)
    assert made.cuda.calls("cudaStreamBeginCapture") == []
    strategies = {context._graph_strategy for context in made.tensorrt.contexts}
    assert strategies == {CudaGraphStrategy.WHOLE_GRAPH_CAPTURE}


def test_the_real_rtx_has_what_is_used():
    """The names, in the package that this platform has; a GPU would have to say the rest."""
    real = pytest.importorskip("tensorrt_rtx_bindings")
    own = {
        real.ICudaEngine: fake_tensorrt.Engine,
        real.IExecutionContext: fake_tensorrt.Context,
        real.IRuntimeConfig: fake_tensorrt.RtxConfig,
        real.Runtime: fake_tensorrt.Runtime,
    }
    for theirs, ours in own.items():
        used = {name for name in vars(ours) if not name.startswith("_")} | set(ours.settable)
        assert used - {"settable"} <= set(dir(theirs)), theirs
    assert real.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE.name == "WHOLE_GRAPH_CAPTURE"
    assert "USER_MANAGED" in real.ExecutionContextAllocationStrategy.__members__
    assert set(trt_engine.DTYPES) <= set(real.DataType.__members__)
    assert {"INPUT", "OUTPUT"} <= set(real.TensorIOMode.__members__)
    assert "DEVICE" in real.TensorLocation.__members__


def test_buckets_that_were_not_used_the_longest_go(rig, monkeypatch):
    monkeypatch.setattr(device_graph, "KEPT_SLOTS", 2)
    made = rig()
    chain = made.chain()
    for count in (1, 2, 3, 1, 2, 3, 3, 3):
        clip = make_clip("good day", [0.5] * count, [9] * count)
        np.testing.assert_allclose(chain.run([clip]).logits, [expected_logits(clip)], rtol=1e-5)
    assert len(made.tensorrt.contexts) == 1 + 3 * 2
    assert made.cuda.live_graphs == 1 + 3  # of three segments, the only one to come again in time
