from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from mer_edge.segments import SAMPLE_RATE_HZ
from train.datasets.prosody import PLAIN, PROSODIES, Speaker, prosody_of, random_speaker
from train.datasets.voice import speak

MAN = Speaker(110.0, 1.0, 5.2, -26.0, 0.005, 0.02)
SENTENCE = "We will discuss the garden and the weather on Tuesday."


def pitch_hz(waveform: NDArray[np.float32]) -> float:
    """Median pitch of the loud frames, by autocorrelation between 60 and 400 Hz."""
    frames = waveform[: len(waveform) // 640 * 640].reshape(-1, 640).astype(np.float64)
    loud = frames[(frames**2).mean(1) > 0.3 * (frames**2).mean()]
    lags = np.arange(SAMPLE_RATE_HZ // 400, SAMPLE_RATE_HZ // 60)
    same = np.stack(
        [(f[None, lag:] * f[None, : 640 - lag]).sum() / (640 - lag) for f in loud for lag in lags]
    )
    return float(np.median(SAMPLE_RATE_HZ / lags[same.reshape(len(loud), -1).argmax(1)]))


def brightness(waveform: NDArray[np.float32]) -> float:
    """Share of the energy above 1.5 kHz."""
    power = np.abs(np.fft.rfft(waveform)) ** 2
    hertz = np.fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE_HZ)
    return float(power[hertz > 1500].sum() / power.sum())


def say(emotion: str, speaker: Speaker = MAN, seed: int = 5) -> NDArray[np.float32]:
    return speak(SENTENCE, speaker, PROSODIES[emotion], np.random.default_rng(seed)).waveform


def mean(measure: Callable[[NDArray[np.float32]], float], emotion: str) -> float:
    """Over eight utterances."""
    return float(np.mean([measure(say(emotion, seed=seed)) for seed in range(8)]))


def test_the_pitch_is_the_speakers() -> None:
    assert pitch_hz(say("neutral")) == pytest.approx(110, rel=0.1)
    woman = Speaker(210.0, 1.17, 5.2, -26.0, 0.005, 0.02)
    assert pitch_hz(say("neutral", woman)) == pytest.approx(210, rel=0.1)


def test_emotions_move_pitch_loudness_tempo_and_brightness() -> None:
    pitch = {e: mean(pitch_hz, e) for e in PROSODIES}
    assert pitch["sad"] < 105 < pitch["neutral"] < 120 < min(pitch["angry"], pitch["happy"])
    level = {e: mean(np.std, e) for e in PROSODIES}
    assert level["sad"] < level["neutral"] < level["happy"] < level["angry"]
    length = {e: mean(len, e) for e in PROSODIES}
    assert length["angry"] < length["happy"] < length["neutral"] < length["sad"]
    bright = {e: mean(brightness, e) for e in PROSODIES}
    assert bright["sad"] < bright["neutral"] < bright["angry"]


def test_waveform_and_loudness_cover_the_same_time() -> None:
    for seed in range(12):
        rng = np.random.default_rng(seed)
        speech = speak("Hm." if seed == 0 else SENTENCE, random_speaker(rng), PLAIN, rng)
        assert speech.waveform.dtype == np.float32
        assert np.abs(speech.waveform).max() <= 1
        assert 2.0 <= speech.duration_s <= 3.6
        assert len(speech.loudness) / 200 == pytest.approx(speech.duration_s, abs=0.005)
        assert speech.loudness.min() >= 0
        assert 0.5 < speech.loudness.max() <= 1


def test_starts_and_ends_in_the_rooms_noise() -> None:
    waveform = say("happy")
    edge = np.concatenate([waveform[:1600], waveform[-1600:]])
    assert 0 < edge.std() < 0.1 * waveform.std()


def test_the_same_seed_gives_the_same_samples() -> None:
    def once(seed: int) -> NDArray[np.float32]:
        rng = np.random.default_rng(seed)
        return speak(SENTENCE, random_speaker(rng), prosody_of("sad", 0.7, rng), rng).waveform

    assert np.array_equal(once(1), once(1))
    assert not np.array_equal(once(1)[:20000], once(2)[:20000])


def test_no_strength_is_a_plain_voice_but_for_chance() -> None:
    drawn = [prosody_of("angry", 0.0, np.random.default_rng(i)).pitch_st for i in range(200)]
    full = [prosody_of("angry", 1.0, np.random.default_rng(i)).pitch_st for i in range(200)]
    assert np.mean(drawn) == pytest.approx(0.0, abs=0.2)
    assert np.mean(full) == pytest.approx(PROSODIES["angry"].pitch_st, abs=0.2)
