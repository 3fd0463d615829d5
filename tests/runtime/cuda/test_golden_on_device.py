"""The committed bundle, stem and all, through the GPU's code: its golden tensors come out again."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from mer_edge.bundle import Bundle
from runtime.cuda.backend import ort_backend
from runtime.cuda.cudart import Cuda
from runtime.cuda.ort_cuda import OrtPlace
from runtime.ort import OrtBackend
from runtime.verify import verify
from tests.runtime.bundles import expected_logits, make_clip
from tests.runtime.cuda.fake_cuda import FakeCuda

TINY = Path(__file__).parents[2] / "data" / "tiny-bundle"


@pytest.fixture(scope="module")
def tiny():
    return Bundle.load(TINY)


@pytest.mark.parametrize("seed", range(3))
def test_golden_tensors_over_tensorrt(rig, tiny, seed):
    made = rig(bundle=tiny, seed=seed)
    found = verify(tiny, made.backend)
    assert found.errors == []
    assert found.passed, found.first_difference
    parts = {x.part for x in found.parity.measured}
    assert parts >= {"text", "audio", "visual_stem", "visual", "fusion", "chain"}
    assert "TensorRT 10.13.2 on Orin" in found.engine


def test_golden_tensors_over_bound_memory(tiny):
    place = OrtPlace(OrtBackend("cpu", 1), Cuda(FakeCuda(seed=None)), "cpu")
    found = verify(tiny, ort_backend(tiny, place))
    assert found.passed, found.first_difference


def test_a_stem_runs_on_its_encoders_stream_beside_the_text(rig, tiny):
    made = rig(bundle=tiny, cuda_graphs=False)
    chain = made.chain()
    clip = make_clip("a good day", [0.1] * 3, [9, 8, 7])
    made.cuda.log.clear()
    chain.run([clip])
    stem = made.stream_of("visual_stem")
    assert stem == made.stream_of("visual")
    assert stem != made.stream_of("text")
    log = [(name, stream) for name, stream, _ in made.cuda.log]
    # Nothing of the face encoder's stream waits before the stem has run.
    assert ("cudaStreamWaitEvent", stem) not in log[: log.index(("run visual_stem", stem))]
    sizes = [d[1] for n, s, d in made.cuda.log if n == "cudaMemcpyAsync" and s == stem]
    assert sizes[0] == 3 * 224 * 224 * 3


def test_a_clip_is_few_calls(rig, tiny):
    """Of the host's time on a fast GPU these are most: docs/gpu.md states the number."""
    made = rig(bundle=tiny)
    chain = made.chain()
    clip = make_clip("a good day", [0.1] * 5, [9] * 5)
    for _ in range(3):
        chain.run([clip])
    made.cuda.log.clear()
    chain.run([clip])
    assert len(made.cuda.log) == 54


def test_threads_may_share_a_chain(rig):
    made = rig(seed=2)
    chain = made.chain()
    failed = []

    def work(number):
        for turn in range(6):
            clip = make_clip("good day", [number / 8, turn / 8], [number, turn])
            try:
                logits = chain.run([clip]).logits
                np.testing.assert_allclose(logits, [expected_logits(clip)], rtol=1e-5)
            except BaseException as error:
                failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed[0]
