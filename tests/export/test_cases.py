from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from export.cases import FULL_GRID, SUBSETS, BatchShape, Case, cases_of, gate_cases, make_batch
from mer_edge.model.config import TINY

ALL = ("audio", "visual", "text")


def test_the_full_grid_is_what_was_promised():
    cases = list(cases_of(FULL_GRID))
    assert len(cases) == len(set(cases)) == 112
    assert {case.shape.segments for case in cases} == {1, 2, 5, 40}
    assert {case.shape.tokens for case in cases} == {3, 128}
    assert {case.shape.clips for case in cases} == {1, 4}
    assert {case.present for case in cases} == {(subset,) for subset in SUBSETS}


def test_the_seven_subsets():
    assert len(SUBSETS) == len(set(SUBSETS)) == 7
    assert SUBSETS[0] == ALL
    assert all(len(subset) > 0 and set(subset) <= set(ALL) for subset in SUBSETS)


def test_the_gate_covers_every_subset_and_size_one_within_the_encoder():
    for max_tokens in (3, 16, 512):
        text = replace(TINY.text, max_position_embeddings=max_tokens)
        cases = gate_cases(replace(TINY, text=text))
        assert {subset for case in cases for subset in case.present} == set(SUBSETS)
        assert any(case.shape == BatchShape(1, 1, 3) for case in cases)
        assert max(case.shape.tokens for case in cases) == max_tokens
        assert any(len(case.present) == 7 for case in cases)


@given(
    clips=st.integers(1, 5),
    segments=st.integers(1, 6),
    tokens=st.integers(3, 20),
    subset=st.sampled_from(SUBSETS),
)
@settings(max_examples=20, deadline=None)
def test_random_batches_are_valid_clips(clips, segments, tokens, subset):
    batch = make_batch(TINY, Case(BatchShape(clips, segments, tokens), (subset,)))
    assert batch.waveform.shape == (clips, segments, 15600)
    assert batch.waveform.dtype == torch.float32
    assert batch.waveform.abs().max() <= 1
    assert batch.faces.shape == (clips, segments, 224, 224, 3)
    assert batch.faces.dtype == torch.uint8
    assert batch.input_ids.shape == batch.attention_mask.shape == (clips, tokens)
    assert batch.input_ids.min() >= 0
    assert batch.input_ids.max() < TINY.text.vocab_size
    # The first clip has the sizes the case is named after; every clip has what it should have.
    assert batch.attention_mask[0].all()
    for name in ("audio", "visual"):
        mask = getattr(batch, f"{name}_mask")
        assert mask.any(1).tolist() == [name in subset] * clips
        signal = batch.waveform if name == "audio" else batch.faces
        assert not signal[~mask].any()
    assert batch.text_mask.tolist() == ["text" in subset] * clips


def test_batches_are_ragged_and_lack_single_segments():
    batch = make_batch(TINY, Case(BatchShape(4, 40, 128), (ALL,)))
    ends = [int(row.nonzero().max()) + 1 for row in batch.audio_mask]
    assert len(set(ends)) == 4
    assert batch.attention_mask.sum(1).tolist() == [128, 96, 64, 32]
    assert 0 < (~batch.audio_mask[0]).sum() < 20
    assert (batch.audio_mask != batch.visual_mask).any()


def test_a_case_has_the_same_clips_each_time_and_in_each_subset():
    shape = BatchShape(2, 3, 8)
    first, again = (make_batch(TINY, Case(shape, (ALL,))) for _ in range(2))
    audio = make_batch(TINY, Case(shape, (("audio",),)))
    other = make_batch(TINY, Case(shape, (ALL,)), seed=1)
    np.testing.assert_array_equal(first.waveform, again.waveform)
    np.testing.assert_array_equal(first.waveform, audio.waveform)
    np.testing.assert_array_equal(first.faces, again.faces)
    assert (first.waveform != other.waveform).any()


def test_every_clip_of_a_mixed_case_has_its_own_subset():
    batch = make_batch(TINY, Case(BatchShape(7, 2, 4), SUBSETS))
    has_audio = ["audio" in subset for subset in SUBSETS]
    has_text = ["text" in subset for subset in SUBSETS]
    assert batch.audio_mask.any(1).tolist() == has_audio
    assert batch.text_mask.tolist() == has_text
