"""Steps of an epoch: what is drawn, padded, hidden, and who computes which part."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.train.samples import labelled_clips
from train.batches import Drawing, Loader, Share, draw_frames, hidden_modalities
from train.collate import Example, collate


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
    labelled = collate([short, long])
    batch, targets = labelled.inputs, labelled.targets
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
    assert labelled.weights.tolist() == [1, 1]
    stand_in = collate([short], counts=False)
    assert stand_in.weights.tolist() == [0]
    assert not stand_in.inputs.visual_mask.any()  # BatchNorm must not see it


def test_a_clip_without_text_attends_to_one_token_and_says_so():
    batch = collate([example(1, 0), example(1, 4)]).inputs
    assert batch.text_mask.tolist() == [False, True]
    assert batch.attention_mask.tolist() == [[1, 0, 0, 0], [1, 1, 1, 1]]
    alone = collate([example(1, 0)]).inputs
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


def shown(loader: Loader, drawing: Drawing, start: int = 0) -> list[tuple[int, ...]]:
    """The words of the clips in the order in which an epoch has them."""
    return [
        tuple(ids[mask.bool()].tolist())
        for step in loader.training(drawing, start)
        for part in step.parts
        for ids, mask in zip(part.inputs.input_ids, part.inputs.attention_mask, strict=True)
    ]


def test_an_epoch_has_every_clip_once_and_another_order_each_time(tmp_path):
    clips = labelled_clips(tmp_path, 7)
    loader = Loader(clips, 3)
    assert [step.clips for step in loader.training(Drawing(0, 1))] == [3, 3, 1]
    expected = sorted(tuple(clip.input_ids.tolist()) for clip in clips)
    first, second = shown(loader, Drawing(0, 1)), shown(loader, Drawing(0, 2))
    assert sorted(first) == sorted(second) == expected
    assert first != second
    assert shown(loader, Drawing(0, 1)) == first
    assert shown(loader, Drawing(0, 1), start=2) == first[6:]


def test_what_is_drawn_depends_on_seed_epoch_and_clip_alone(tmp_path):
    clips = labelled_clips(tmp_path, 6)

    def faces(drawing: Drawing, **settings) -> dict[int, torch.Tensor]:
        found = {}
        for step in Loader(clips, **settings).training(drawing):
            for indices, part in zip(step.indices, step.parts, strict=True):
                for row, index in enumerate(indices.tolist()):
                    segments = 1 + index % 3
                    found[index] = part.inputs.faces[row, :segments]
        return found

    drawing = Drawing(3, 1, augment=True)
    one = faces(drawing, batch_size=2)
    many = faces(drawing, batch_size=5, threads=3, share=Share(parts=2))
    assert one.keys() == many.keys() == set(range(6))
    assert all(torch.equal(one[index], many[index]) for index in one)
    other = faces(Drawing(4, 1, augment=True), batch_size=2)
    assert not all(torch.equal(one[index], other[index]) for index in one)


@settings(max_examples=50, deadline=None)
@given(clips=st.integers(1, 12), processes=st.integers(1, 4), parts=st.integers(1, 5))
def test_shares_cover_a_step_and_none_waits_for_ever(clips, processes, parts):
    step = np.arange(100, 100 + clips)
    shares = [Share(process, processes, parts).of(step) for process in range(processes)]
    assert len({len(share) for share in shares}) == 1
    assert len(shares[0]) <= parts
    counted = [i for share in shares for part, counts in share if counts for i in part.tolist()]
    assert sorted(counted) == step.tolist()
    assert all(len(part) for share in shares for part, _ in share)


def test_validation_keeps_the_order_and_draws_nothing(tmp_path):
    clips = labelled_clips(tmp_path, 5)
    once, again = list(Loader(clips, 2).in_order()), list(Loader(clips, 2, threads=3).in_order())
    assert [step.clips for step in once] == [2, 2, 1]
    for step, other in zip(once, again, strict=True):
        assert torch.equal(step.parts[0].inputs.faces, other.parts[0].inputs.faces)
    truth = torch.cat([step.parts[0].targets for step in once])
    assert np.array_equal(truth, [clip.targets for clip in clips])


def test_a_failure_while_loading_reaches_the_caller(tmp_path):
    clips = labelled_clips(tmp_path, 3)
    clips[2].stored.file.unlink()
    with pytest.raises(Exception, match="cannot be read"):
        list(Loader(clips, 2).in_order())


@pytest.mark.parametrize("probability", [0.0, 0.3, 0.9])
def test_hides_modalities_as_often_as_told_and_never_all(probability):
    rng = np.random.default_rng(0)
    rounds = 400
    kept = np.zeros(3)
    for _ in range(rounds):
        hidden = hidden_modalities(example(1, 2), probability, rng)
        assert not hidden.all()
        kept += ~hidden
    # One of three is put back where all would go.
    expected = 1 - probability + probability**3 / 3
    assert kept / rounds == pytest.approx(np.full(3, expected), abs=0.08)


def test_what_is_absent_stays_absent_and_the_only_one_stays():
    rng = np.random.default_rng(0)
    lonely = example(2, 0, audio=[False, False], face=[False, True])
    for _ in range(20):
        assert not hidden_modalities(lonely, 0.9, rng).any()


def test_a_modality_with_a_decision_stays():
    rng = np.random.default_rng(0)
    hidden = [hidden_modalities(example(1, 2), 0.9, rng, ("audio",)) for _ in range(20)]
    assert not any(audio for audio, _, _ in hidden)
    assert any(text for _, _, text in hidden)


def test_what_is_hidden_is_gone():
    seen = example(2, 3).without(np.array([True, False, True]))
    assert not seen.audio_present.any()
    assert seen.face_present.all()
    assert len(seen.input_ids) == 0
