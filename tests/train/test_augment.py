"""Random changes keep shape, type and range, and change what they say they change."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_edge.segments import SAMPLE_RATE_HZ, SEGMENT_HOP_SAMPLES, SEGMENT_SAMPLES
from train.augment import MAX_SHIFT_S, _mask_bands, _shifted, augment_faces, augment_sound


def continuous(segments: int, rng: np.random.Generator) -> np.ndarray:
    """Segments of one sound, which overlap as those of a clip do."""
    whole = rng.uniform(-0.9, 0.9, segments * SEGMENT_HOP_SAMPLES + 240).astype(np.float32)
    return np.stack([whole[i * 15360 : i * 15360 + 15600] for i in range(segments)])


@settings(max_examples=10, deadline=None)
@given(segments=st.integers(1, 4), seed=st.integers(0, 1000))
def test_sound_keeps_its_shape_and_range(segments, seed):
    rng = np.random.default_rng(seed)
    waveform = continuous(segments, rng)
    before = waveform.copy()
    changed = augment_sound(waveform, rng)
    assert changed.shape == waveform.shape
    assert changed.dtype == np.float32
    assert np.abs(changed).max() <= 1
    assert (waveform == before).all()
    assert not np.allclose(changed, before)


@settings(max_examples=10, deadline=None)
@given(segments=st.integers(1, 3), shift=st.integers(-4000, 4000))
def test_a_shifted_clip_is_the_same_sound_later_and_still_overlaps(segments, shift):
    waveform = continuous(segments, np.random.default_rng(0))
    assert abs(shift) <= MAX_SHIFT_S * SAMPLE_RATE_HZ
    moved = _shifted(waveform, shift)
    if shift >= 0:
        assert (moved[0, :shift] == 0).all()
        assert (moved[0, shift:] == waveform[0, : SEGMENT_SAMPLES - shift]).all()
    else:
        assert (moved[0, : SEGMENT_SAMPLES + shift] == waveform[0, -shift:]).all()
    for earlier, later in itertools.pairwise(moved):
        assert (earlier[SEGMENT_HOP_SAMPLES:] == later[:240]).all()


def test_masked_bands_are_silent_and_the_rest_is_as_before():
    waveform = continuous(1, np.random.default_rng(3))
    changed = waveform.copy()
    _mask_bands(changed, np.random.default_rng(3))
    before, after = np.abs(np.fft.rfft(waveform)), np.abs(np.fft.rfft(changed))
    silent = after < 1e-2
    assert 0.01 < silent.mean() < 0.6
    assert np.abs(after - before)[~silent].max() < 1e-2


def test_faces_of_a_clip_change_alike_and_stay_pictures():
    rng = np.random.default_rng(5)
    face = rng.integers(0, 256, (7, 7, 3), np.uint8).repeat(32, axis=0).repeat(32, axis=1)
    changed = augment_faces(np.stack([face, face]), rng)
    assert changed.shape == (2, 224, 224, 3)
    assert changed.dtype == np.uint8
    assert (changed[0] == changed[1]).all()
    assert (changed[0] != face).mean() > 0.5


def test_about_half_of_the_faces_are_mirrored():
    face = np.zeros((1, 224, 224, 3), np.uint8)
    face[:, :, :112] = 200
    rng = np.random.default_rng(0)
    bright_left = [
        changed[:, :100].mean() > changed[:, 124:].mean()
        for changed in (augment_faces(face, rng)[0] for _ in range(40))
    ]
    assert 10 <= sum(bright_left) <= 30
