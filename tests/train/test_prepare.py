"""Preparing real files: in processes, once, one bad file told and left out."""

import os
import wave
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from mer_edge.clips import ClipOptions, load_clips
from mer_edge.errors import MerEdgeError
from mer_edge.evidence import Evidence
from mer_edge.samples.manifest import read_manifest
from mer_edge.samples.sample import Sample
from train import prepare_worker
from train.prepare import ReadySample, clip_key, prepare_samples
from train.prepared import read_clip
from train.progress import Silent


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps: list[tuple[int, int]] = []

    def step(self, stage, done, total, detail=""):
        self.steps.append((done, total))

    def note(self, text, *, warning=False):
        assert warning
        self.notes.append(text)


def sample_of(media: Path) -> Sample:
    return Sample(media, None, (), "train")


def write_sound(path: Path, seconds: float) -> None:
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 16000, 0, "NONE", ""))
        out.writeframes(b"\x00\x10\x00\xf0" * round(8000 * seconds))  # no digital silence


def test_a_prepared_clip_is_what_inference_makes(drawn_data, tmp_path):
    sample = read_manifest(drawn_data)[0]
    (ready,), skipped = prepare_samples([sample], tmp_path, 3, 1, Silent())
    stored = read_clip(ready.stored)
    (clip,) = load_clips(sample.media)
    assert not skipped
    assert np.array_equal(stored.waveform, clip.waveform)
    assert np.array_equal(stored.audio_present, clip.audio_present)
    assert np.array_equal(stored.crops_present[:, 1], clip.face_present)
    assert clip.face_present.any()
    assert np.array_equal(stored.faces(np.ones(clip.segments, np.int64)), clip.faces)


def test_what_has_a_say_is_as_on_the_device(drawn_data, tmp_path):
    sample = read_manifest(drawn_data)[0]
    rule = Evidence(voice=True, min_face_px=1000.0)
    (ready,), skipped = prepare_samples([sample], tmp_path, 3, 1, Silent(), rule)
    assert not skipped
    stored = read_clip(ready.stored)
    (clip,) = load_clips(sample.media, ClipOptions(evidence=rule))
    assert np.array_equal(stored.audio_present, clip.audio_present)
    assert not stored.crops_present.any()
    assert not clip.has_face


def test_processes_make_the_same_bits_and_nothing_is_made_twice(drawn_data, tmp_path):
    samples = read_manifest(drawn_data)[:3]
    alone, _ = prepare_samples(samples, tmp_path / "one", 1, 1, Silent())
    spread, _ = prepare_samples(samples, tmp_path / "two", 1, 2, Silent())
    assert [r.sample for r in spread] == samples
    for one, two in zip(alone, spread, strict=True):
        assert bits(one) == bits(two)
    (shard,) = (tmp_path / "one").glob("*.parquet")
    made = shard.stat().st_mtime_ns
    notes = Notes()
    again, _ = prepare_samples(samples, tmp_path / "one", 1, 1, notes)
    assert again == alone
    assert shard.stat().st_mtime_ns == made
    assert notes.steps == [(3, 3)]


def test_text_alone_is_ready_as_it_is_and_needs_no_store(drawn_data, tmp_path):
    clip = read_manifest(drawn_data)[0]
    text = Sample(None, "Leave me.", ("sad",), "train")
    ready, skipped = prepare_samples([text, text], tmp_path / "none", 3, 1, Silent())
    assert (ready, skipped) == ([ReadySample(text, None)] * 2, [])
    assert not (tmp_path / "none").exists()
    mixed, _ = prepare_samples([text, clip, text], tmp_path / "store", 3, 1, Silent())
    assert [item.sample for item in mixed] == [text, clip, text]
    assert [item.stored is None for item in mixed] == [True, False, True]
    stored = read_clip(None)
    assert (stored.segments, stored.audio_present.any(), stored.crops_present.any()) == (
        1,
        False,
        False,
    )
    assert stored.waveform.shape == (1, 15600)
    assert not stored.faces(np.zeros(1, np.int64)).any()


def test_what_is_added_to_a_data_set_alone_is_made(drawn_data, tmp_path):
    samples = read_manifest(drawn_data)[:3]
    prepare_samples(samples[:2], tmp_path, 1, 1, Silent())
    notes = Notes()
    ready, _ = prepare_samples(samples, tmp_path, 1, 1, notes)
    assert notes.steps == [(2, 3), (3, 3)]
    assert [item.sample for item in ready] == samples
    assert len({item.stored for item in ready}) == 3
    assert len(list(tmp_path.glob("*.parquet"))) == 2


def test_what_was_made_before_an_interruption_is_kept(drawn_data, tmp_path):
    class Interrupting(Silent):
        def step(self, stage, done, total, detail=""):
            if done == 2:
                raise KeyboardInterrupt

    samples = read_manifest(drawn_data)[:3]
    with pytest.raises(KeyboardInterrupt):
        prepare_samples(samples, tmp_path, 1, 1, Interrupting())
    notes = Notes()
    ready, _ = prepare_samples(samples, tmp_path, 1, 1, notes)
    assert notes.steps == [(2, 3), (3, 3)]
    assert len(ready) == 3


def test_a_second_process_waits_for_the_first(tmp_path):
    write_sound(tmp_path / "good.wav", 1.0)
    lock = FileLock(tmp_path / "store" / ".lock", thread_local=False)
    (tmp_path / "store").mkdir()
    lock.acquire()

    class Waiting(Silent):
        waited = False

        def note(self, text, *, warning=False):
            assert "another process is preparing clips here; waiting for it" in text
            self.waited = True
            lock.release()

    progress = Waiting()
    sample = Sample(tmp_path / "good.wav", "Well.", (), "train")
    ready, _ = prepare_samples([sample], tmp_path / "store", 1, 1, progress)
    assert progress.waited
    assert len(ready) == 1


def bits(ready: ReadySample) -> list[bytes]:
    stored = read_clip(ready.stored)
    return [getattr(stored, field.name).tobytes() for field in fields(stored)]


def test_bad_files_are_told_and_the_others_go_on(tmp_path):
    (tmp_path / "empty.mp4").touch()
    write_sound(tmp_path / "good.wav", 1.0)
    write_sound(tmp_path / "long.wav", 60.0)
    samples = [
        Sample(tmp_path / name, "Well.", ("sad",), "train")
        for name in ("empty.mp4", "good.wav", "long.wav")
    ]
    notes = Notes()
    ready, skipped = prepare_samples(samples, tmp_path / "cache", 3, 1, notes)
    assert [item.sample.media.name for item in ready] == ["good.wav"]
    assert [Path(item.media).name for item in skipped] == ["empty.mp4", "long.wav"]
    assert "0 bytes" in skipped[0].reason
    assert "more than one utterance; expected one of at most 28.8 s" in skipped[1].reason
    assert sorted(notes.notes) == sorted(f"skipped {item.reason}" for item in skipped)
    assert len(list((tmp_path / "cache").glob("*.parquet"))) == 1


def test_the_cache_knows_a_changed_file_and_other_options(tmp_path):
    media = tmp_path / "a.wav"
    write_sound(media, 1.0)
    first = clip_key(sample_of(media), tmp_path, 3)
    assert clip_key(sample_of(media), tmp_path, 3) == first
    assert clip_key(sample_of(media), tmp_path, 1) != first
    rules = [None, Evidence(), Evidence(voice=True), Evidence(min_face_px=16.0)]
    assert len({clip_key(sample_of(media), tmp_path, 3, rule) for rule in rules}) == len(rules)
    os.utime(media, ns=(1, 1))
    touched = clip_key(sample_of(media), tmp_path, 3)
    assert touched != first
    write_sound(media, 2.0)
    os.utime(media, ns=(1, 1))
    assert clip_key(sample_of(media), tmp_path, 3) != touched


def test_a_data_set_and_the_store_in_it_may_move(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    write_sound(old / "a.wav", 1.0)
    first = clip_key(sample_of(old / "a.wav"), old / ".prepared", 3)
    old.rename(new)
    assert clip_key(sample_of(new / "a.wav"), new / ".prepared", 3) == first
    assert clip_key(sample_of(new / "a.wav"), tmp_path / "elsewhere", 3) != first


def test_a_directory_of_frames_is_known_by_its_files(tmp_path):
    frames = tmp_path / "frames"
    frames.mkdir()
    (frames / "0.jpg").write_bytes(b"x")
    first = clip_key(sample_of(frames), tmp_path, 1)
    (frames / "1.jpg").write_bytes(b"x")
    assert clip_key(sample_of(frames), tmp_path, 1) != first


def test_a_cache_that_cannot_be_written_is_an_error_and_no_skipped_clip(tmp_path):
    write_sound(tmp_path / "good.wav", 1.0)
    (tmp_path / "cache").touch()
    sample = Sample(tmp_path / "good.wav", "Well.", (), "train")
    with pytest.raises(MerEdgeError, match="cache is a file; expected a folder"):
        prepare_samples([sample], tmp_path / "cache", 1, 1, Silent())


def test_a_clip_that_fails_in_an_unknown_way_is_a_reason_too(monkeypatch, tmp_path):
    def prepare_clips(*arguments, **named):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(prepare_worker, "prepare_clips", prepare_clips)
    sample = Sample(media=tmp_path / "a.mp4", text=None, labels=(), split="train")
    made = prepare_worker.make_clip(prepare_worker.Job("key", sample, 3))
    assert made == f"{tmp_path / 'a.mp4'}: PermissionError: [Errno 13] Permission denied"
