"""A voice is told from silence, noise, tones and music, in a file as in a stream."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mer_edge.media.scan import scan_media
from mer_edge.media.sound import SoundReader
from mer_edge.media.voice import MIN_VOICE_S, VoiceListener

SPEECH = Path(__file__).parents[2] / "data" / "speech" / "speech.flac"
SEGMENT = 15_360
TIMES = np.arange(5 * SEGMENT) / 16_000


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    """One sentence, a little more than 2 s, in three segments."""
    scan = scan_media(SPEECH)
    samples = SoundReader(SPEECH, scan).read(0.0, scan.duration_s).samples
    return np.concatenate([samples, np.zeros(3 * SEGMENT, np.float32)])[: 3 * SEGMENT]


def voiced(samples: NDArray[np.floating]) -> list[bool]:
    segments = -(-len(samples) // SEGMENT)
    found = VoiceListener().voiced_segments(samples.astype(np.float32), np.ones(segments, np.bool_))
    return found.tolist()


def noise(level: float, seconds: float = 4.8) -> NDArray[np.float64]:
    return np.random.default_rng(0).normal(0, level, round(seconds * 16_000))


def hum(rate_hz: float) -> NDArray[np.float64]:
    """Of the mains, with its overtones."""
    overtones = [np.sin(2 * np.pi * rate_hz * k * TIMES) / k for k in range(1, 9)]
    return 0.2 * np.sum(overtones, axis=0)


def notes() -> NDArray[np.float64]:
    """A melody of plucked strings."""
    at = np.arange(4800) / 16_000
    pluck = [
        np.exp(-3 * at) * sum(np.sin(2 * np.pi * f * k * at) / k for k in range(1, 8))
        for f in 220 * 2 ** (np.random.default_rng(1).integers(0, 13, 16) / 12)
    ]
    return 0.2 * np.concatenate(pluck)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(5 * SEGMENT),
        noise(0.1),
        noise(1e-3),
        0.2 * np.sin(2 * np.pi * 440 * TIMES),
        hum(50),
        hum(60),
        notes(),
    ],
    ids=["silence", "noise", "faint noise", "tone", "hum of 50 Hz", "hum of 60 Hz", "melody"],
)
def test_what_is_no_voice(samples: NDArray[np.float64]) -> None:
    assert not any(voiced(samples))


def test_a_sentence_is_a_voice_loud_quiet_and_in_noise(speech: NDArray[np.float32]) -> None:
    peak = np.abs(speech).max()
    assert voiced(speech)[:2] == [True, True]
    assert voiced(speech * 0.01 / peak)[:2] == [True, True]
    level = np.sqrt(np.mean(speech[: 2 * SEGMENT] ** 2))
    hiss = noise(level / 2, 3 * 0.96)  # a signal-to-noise ratio of 6 dB
    assert voiced(speech + hiss)[:2] == [True, True]


def test_a_voice_after_music_has_a_say_and_the_music_none(speech: NDArray[np.float32]) -> None:
    samples = np.concatenate([notes()[: 3 * SEGMENT], speech])
    assert voiced(samples)[:5] == [False, False, False, True, True]


def test_piece_by_piece_is_the_same_and_a_gap_forgets(speech: NDArray[np.float32]) -> None:
    pieces = speech.reshape(3, SEGMENT)
    whole, live = VoiceListener(), VoiceListener()
    seconds = [whole.speech_s(piece) for piece in pieces]
    present = np.ones(1, np.bool_)
    found = [live.voiced_segments(piece, present)[0] for piece in pieces]
    assert found == [second >= MIN_VOICE_S for second in seconds]
    whole.restart()
    assert [whole.speech_s(piece) for piece in pieces] == seconds


def test_a_part_of_a_segment_is_counted_in_seconds(speech: NDArray[np.float32]) -> None:
    listener = VoiceListener()
    assert 0.1 <= listener.speech_s(speech[SEGMENT : SEGMENT + 8000]) <= 0.512
    assert listener.speech_s(speech[:0]) == 0.0


def test_where_there_is_no_sound_there_is_no_voice(speech: NDArray[np.float32]) -> None:
    sounding = np.array([False, True, False])
    assert VoiceListener().voiced_segments(speech, sounding).tolist() == [False, True, False]
