"""Signals from a seed: these very bits, on every machine."""

import hashlib

import numpy as np

from mer_edge.parity.signals import faces, waveforms


def test_the_bits_are_these():
    """A change would make every golden file that carries seeds mean something else."""
    sound, pictures = waveforms(3, 2), faces(3, 2)
    assert (sound.shape, sound.dtype) == ((2, 15600), np.float32)
    assert (pictures.shape, pictures.dtype) == ((2, 224, 224, 3), np.uint8)
    assert hashlib.sha256(sound.astype("<f4").tobytes()).hexdigest()[:16] == "f77765e46a2484cc"
    assert (
        hashlib.sha256(np.ascontiguousarray(pictures).tobytes()).hexdigest()[:16]
        == "f24acb8f16b6fdcc"
    )


def test_they_are_signals():
    sound, pictures = waveforms(0, 16), faces(0, 2)
    assert np.abs(sound).max() <= 1
    loudest = np.abs(sound).max(axis=1)
    assert loudest.max() > 20 * loudest.min()
    assert (pictures[:, 0:8, 0:8] == pictures[:, :1, :1]).all()
    assert len(np.unique(pictures)) == 256


def test_each_seed_has_its_own():
    assert (waveforms(0, 1) != waveforms(1, 1)).mean() > 0.9
    assert (faces(0, 1) != faces(1, 1)).mean() > 0.9
