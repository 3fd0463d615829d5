"""Sound frame by frame is the sound of the offline reader; slips and changes are counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from mer_edge.media.scan import scan_media
from mer_edge.media.sound import CANCELLED_NOTE, Chunk, SoundReader
from runtime.stream.arrays import audio_frame
from runtime.stream.counts import StreamCounts
from runtime.stream.sound import SoundRuns, SoundTrack
from tests.media_files import TONE_HZ, Voice, tone, write_media


def track_of(path: Path) -> SoundTrack:
    """A file's sound as a stream hears it."""
    runs, track = SoundRuns(StreamCounts()), SoundTrack()
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            for chunk in runs.add(frame, frame.time):
                track.add(chunk)
    for chunk in runs.finish():
        track.add(chunk)
    return track


@pytest.mark.parametrize(
    "voice",
    [
        Voice("pcm_s16le", 16_000, duration_s=1.0),
        Voice("pcm_s16le", 44_100, "stereo", duration_s=1.0),
        Voice("aac", 48_000, "5.1", duration_s=1.0),
        Voice("libopus", 48_000, duration_s=1.0, start_s=0.3),
        Voice("aac", 48_000, "stereo", 1.0, wave=lambda t: np.stack([tone(t), -tone(t)])),
    ],
)
def test_it_is_the_offline_sound_to_the_last_bit(tmp_path: Path, voice: Voice) -> None:
    path = write_media(tmp_path / "voice.mkv", voice=voice)
    scan = scan_media(path)
    offline = SoundReader(path, scan).read(0.0, scan.duration_s)
    origin = round(scan.origin_s * 16_000)
    live = track_of(path).peek(origin, origin + len(offline.samples))
    assert np.abs(offline.samples).max() > 0.3
    assert np.array_equal(live.samples, offline.samples)
    assert np.array_equal(live.covered, offline.covered)


def test_channels_that_cancel_are_told_once() -> None:
    counts = StreamCounts()
    runs = SoundRuns(counts)
    wave = 0.5 * np.sin(np.arange(4800) / 10).astype(np.float32)
    before = replace(counts)
    runs.add(audio_frame(np.stack([wave, -wave]), 48_000), 0.0)
    assert counts.news_since(before) == [CANCELLED_NOTE]
    before = replace(counts)
    runs.add(audio_frame(np.stack([wave, -wave]), 48_000), 0.1)
    assert counts.news_since(before) == []


def frames_of(rate_hz: int, seconds: float, piece: int = 1000) -> list[av.AudioFrame]:
    times = np.arange(round(rate_hz * seconds)) / rate_hz
    wave = (0.5 * np.sin(2 * np.pi * TONE_HZ * times)).astype(np.float32)
    return [audio_frame(wave[i : i + piece], rate_hz) for i in range(0, len(wave), piece)]


def test_a_clock_that_drifts_slips_by_forty_milliseconds_at_a_time() -> None:
    """A microphone that says 16 kHz and samples 1 % slower: after 10 s it is 100 ms behind."""
    counts = StreamCounts()
    runs, track = SoundRuns(counts), SoundTrack()
    for number, frame in enumerate(frames_of(16_000, 10.0, 160)):
        for chunk in runs.add(frame, number * 0.01 * 1.01):
            track.add(chunk)
    assert counts.slips == 2
    assert counts.slipped_ms == pytest.approx(80, abs=3)
    assert track.position / 16_000 == pytest.approx(10.08, abs=0.01)


def test_jitter_of_the_time_stamps_moves_nothing() -> None:
    counts = StreamCounts()
    runs = SoundRuns(counts)
    rng = np.random.default_rng(0)
    for number, frame in enumerate(frames_of(16_000, 5.0, 160)):
        runs.add(frame, number * 0.01 + rng.uniform(-0.02, 0.02))
    assert counts.slips == 0


def test_another_sample_rate_midway_goes_on_where_it_was() -> None:
    counts = StreamCounts()
    runs, track = SoundRuns(counts), SoundTrack()
    for frame in [*frames_of(48_000, 1.0), *frames_of(22_050, 1.0)]:
        for chunk in runs.add(frame, None):
            track.add(chunk)
    for chunk in runs.finish():
        track.add(chunk)
    assert (counts.changes, counts.slips) == (1, 0)
    assert track.position == pytest.approx(32_000, abs=2)
    sound = track.peek(0, 31_900)
    assert sound.covered.all()
    expected = 0.5 * np.sin(2 * np.pi * TONE_HZ * (np.arange(31_900) % 16_000) / 16_000)
    # Where the resampler begins and ends it rings for a millisecond or two.
    inside = np.r_[100:15_900, 16_100:31_800]
    assert np.abs(sound.samples - expected)[inside].max() < 0.01


def test_a_track_forgets_what_was_taken() -> None:
    track = SoundTrack()
    track.add(Chunk(0, np.full(20_000, 0.25, np.float32)))
    assert track.take(0, 15_360).covered.all()
    track.add(Chunk(10_000, np.full(100, 0.5, np.float32)))
    later = track.peek(15_360, 30_720)
    assert later.covered.sum() == 20_000 - 15_360
    assert set(np.unique(later.samples)) == {0.0, 0.25}


def test_broken_samples_are_silence_and_counted() -> None:
    track = SoundTrack()
    track.add(Chunk(0, np.array([0.5, np.nan, -np.inf, 7.0], np.float32)))
    assert track.peek(0, 4).samples.tolist() == [0.5, 0.0, 0.0, 1.0]
    assert track.broken == 2
