"""A GPU out of memory: an error with the sizes, and the next clip runs."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.cuda.cudart import OutOfDeviceMemoryError
from runtime.recognizer import Recognizer
from tests.runtime.bundles import LABELS, expected_logits, make_clip
from tests.runtime.cuda.fake_cuda import cudaError_t

SMALL = make_clip("good day", [0.25], [51])
LARGE = make_clip("good day", [0.5] * 4, [9] * 4)


@pytest.mark.parametrize("seed", range(3))
def test_a_clip_that_does_not_fit_leaves_the_others_alone(rig, seed):
    made = rig(seed=seed, memory_bytes=700_000)
    chain = made.chain()
    chain.run([SMALL])
    for _ in range(2):
        with pytest.raises(OutOfDeviceMemoryError) as caught:
            chain.run([LARGE])
        assert "faces (4, 224, 224, 3) of the visual graph needs 0.6 MB, of 1 MB 0." in str(
            caught.value
        )
        for _ in range(3):
            output = chain.run([SMALL])
            np.testing.assert_allclose(output.logits, [expected_logits(SMALL)], rtol=1e-5)


def test_memory_of_other_shapes_is_given_back_first(rig):
    """Two buckets do not fit together; each fits alone."""
    made = rig(memory_bytes=800_000)
    chain = made.chain()
    three = make_clip("good day", [0.5] * 3, [9] * 3)
    two = make_clip("good day", [0.25] * 2, [51] * 2)
    for clip in (two, three, two, three):
        output = chain.run([clip])
        np.testing.assert_allclose(output.logits, [expected_logits(clip)], rtol=1e-5)
    assert made.cuda.used_bytes <= 800_000


def test_one_clip_of_a_recognizer_fails_and_the_next_does_not(rig, monkeypatch):
    made = rig(memory_bytes=700_000)
    monkeypatch.setattr("runtime.recognizer.open_backend", lambda *_, **__: made.backend)
    recognizer = Recognizer(made.bundle)
    with pytest.raises(OutOfDeviceMemoryError, match="run fewer clips at once"):
        recognizer.recognize(LARGE)
    assert recognizer.recognize(SMALL).top == LABELS[np.argmax(expected_logits(SMALL))]


def test_too_little_page_locked_memory_is_no_end_either(rig):
    made = rig()
    chain = made.chain()
    made.cuda.fails["cudaMallocHost"] = cudaError_t.cudaErrorMemoryAllocation
    with pytest.raises(Exception, match="sending input_ids of the text graph needs"):
        chain.run([SMALL])
    np.testing.assert_allclose(chain.run([SMALL]).logits, [expected_logits(SMALL)], rtol=1e-5)
