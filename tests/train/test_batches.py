import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.train.samples import labelled_clips
from train.batches import (
    Example,
    collate,
    draw_frames,
    hide_modalities,
    training_batches,
    validation_batches,
)


def example(segments: int, tokens: int, audio=None, face=None, label: int = 0) -> Example:
    rng = np.random.default_rng(segments * 10 + tokens)
    return Example(
        input_ids=rng.integers(1, 30, tokens),
        waveform=rng.uniform(-1, 1, (segments, 15600)).astype(np.float32),
        faces=rng.integers(0, 256, (segments, 224, 224, 3), np.uint8),
        audio_present=np.ones(segments, bool) if audio is None else np.array(audio),
        face_present=np.ones(segments, bool) if face is None else np.array(face),
        targets=np.arange(3) == label,
    )


def test_pads_and_masks_clips_of_different_lengths():
    short = example(1, 2, label=2)
    long = example(3, 5, audio=[True, False, True], face=[False, False, True])
    batch, targets = collate([short, long])
    assert batch.waveform.shape == (2, 3, 15600)
    assert batch.faces.shape == (2, 3, 224, 224, 3)
    assert batch.faces.dtype == torch.uint8
    assert batch.input_ids.shape == (2, 5)
    assert batch.attention_mask.tolist() == [[1, 1, 0, 0, 0], [1, 1, 1, 1, 1]]
    assert batch.audio_mask.tolist() == [[True, False, False], [True, False, True]]
    assert batch.visual_mask.tolist() == [[True, False, False], [False, False, True]]
    assert batch.text_mask.tolist() == [True, True]
    assert np.array_equal(batch.waveform[1], long.waveform)
    assert np.array_equal(batch.faces[0, 0], short.faces[0])
    assert not batch.waveform[0, 1:].any()
    assert not batch.faces[0, 1:].any()
    assert batch.input_ids[0].tolist() == [*short.input_ids.tolist(), 0, 0, 0]
    assert targets.tolist() == [[0, 0, 1], [1, 0, 0]]


def test_a_clip_without_text_attends_to_one_token_and_says_so():
    batch, _ = collate([example(1, 0), example(1, 4)])
    assert batch.text_mask.tolist() == [False, True]
    assert batch.attention_mask.tolist() == [[1, 0, 0, 0], [1, 1, 1, 1]]
    alone, _ = collate([example(1, 0)])
    assert alone.attention_mask.tolist() == [[1]]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), segments=st.integers(1, 6))
def test_a_random_frame_has_a_face_where_there_is_one(seed, segments):
    rng = np.random.default_rng(seed)
    present = rng.random((segments, 3)) < 0.5
    frames = draw_frames(present, rng)
    found = present[np.arange(segments), frames]
    assert np.array_equal(found, present.any(axis=1))


def test_training_draws_every_frame_and_validation_the_middle_one():
    present = np.ones((1, 5), bool)
    rng = np.random.default_rng(0)
    counts = np.bincount([draw_frames(present, rng)[0] for _ in range(500)], minlength=5)
    assert counts.min() > 60
    assert draw_frames(present, None).tolist() == [2]
    assert draw_frames(np.array([[True, False, True]]), None).tolist() == [1]


def test_an_epoch_has_every_clip_once_and_another_order_each_time(tmp_path):
    clips = labelled_clips(tmp_path, 7)
    rng = np.random.default_rng(0)

    def epoch() -> list[tuple[int, ...]]:
        rows = []
        for batch, _ in training_batches(clips, 3, 0.0, rng):
            assert len(batch.input_ids) in (3, 1)
            rows += [
                tuple(ids[mask.bool()].tolist())
                for ids, mask in zip(batch.input_ids, batch.attention_mask, strict=True)
            ]
        return rows

    expected = sorted(tuple(clip.input_ids.tolist()) for clip in clips)
    first, second = epoch(), epoch()
    assert sorted(first) == sorted(second) == expected
    assert first != second


def test_validation_keeps_the_order_and_draws_nothing(tmp_path):
    clips = labelled_clips(tmp_path, 5)
    once = list(validation_batches(clips, 2))
    again = list(validation_batches(clips, 2))
    assert [len(truth) for _, truth in once] == [2, 2, 1]
    for (batch, truth), (other, other_truth) in zip(once, again, strict=True):
        assert torch.equal(batch.faces, other.faces)
        assert torch.equal(truth, other_truth)
    assert np.array_equal(torch.cat([truth for _, truth in once]), [c.targets for c in clips])


def test_a_failure_while_loading_reaches_the_caller(tmp_path):
    clips = labelled_clips(tmp_path, 3)
    clips[2].file.unlink()
    with pytest.raises(Exception, match="cannot be read"):
        list(validation_batches(clips, 2))


@pytest.mark.parametrize("probability", [0.0, 0.3, 0.9])
def test_hides_modalities_as_often_as_told_and_never_all(probability):
    rng = np.random.default_rng(0)
    kept = np.zeros(3)
    rounds, count = 40, 10
    for _ in range(rounds):
        batch, _ = collate([example(1, 2)] * count)
        hide_modalities(batch, probability, rng)
        present = torch.stack(
            [batch.audio_mask.any(1), batch.visual_mask.any(1), batch.text_mask], dim=1
        )
        assert present.any(1).all()
        kept += present.sum(0).numpy()
    # One of three is put back where all would go.
    expected = 1 - probability + probability**3 / 3
    assert kept / (rounds * count) == pytest.approx(np.full(3, expected), abs=0.08)


def test_what_is_absent_stays_absent_and_the_only_one_stays():
    rng = np.random.default_rng(0)
    for _ in range(20):
        batch, _ = collate([example(2, 0, audio=[False, False], face=[False, True])])
        hide_modalities(batch, 0.9, rng)
        assert batch.visual_mask.tolist() == [[False, True]]
        assert not batch.audio_mask.any()
        assert not batch.text_mask.any()
