"""Voiced sound from a source and a filter: who speaks, what is said, and in which mood.

Each glottal pulse starts one decaying wave per formant (Rodet 1984, "Time-domain
formant-wave-function synthesis"); vowels have the formants of Peterson and Barney 1952.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_edge.segments import SAMPLE_RATE_HZ
from train.datasets.prosody import Prosody, Speaker

FRAME_RATE_HZ = 200
"""Of the curves that steer the voice: pitch, loudness, formants."""
PULSE_SAMPLES = 320
"""20 ms: the wave of a formant of 80 Hz bandwidth has decayed to less than 1 %."""
SHORTEST_CLIP_S = 2.0
LONGEST_SPEECH_S = 3.1
MARGIN_S = 0.18
"""Silence before and after the speech, at the least."""

VOWELS_HZ = {
    "a": (660, 1720, 2410),
    "e": (530, 1840, 2480),
    "i": (390, 1990, 2550),
    "o": (570, 840, 2410),
    "u": (640, 1190, 2390),
    "y": (270, 2290, 3010),
    "ee": (270, 2290, 3010),
    "ea": (270, 2290, 3010),
    "oo": (300, 870, 2240),
    "ou": (730, 1090, 2440),
    "ow": (730, 1090, 2440),
}
HIGHER_FORMANT_HZ = 3500
BANDWIDTHS_HZ = np.array([70.0, 90.0, 130.0, 200.0])
FORMANT_LEVELS_DB = np.array([0.0, -5.0, -11.0, -17.0])
FRICATIVES = frozenset("sfzhcxjt")
_SYLLABLE = re.compile(r"([^aeiouy]*)(ee|ea|oo|ou|ow|[aeiouy])[aeiouy]*")


@dataclass(frozen=True, eq=False)
class Speech:
    """An utterance."""

    waveform: NDArray[np.float32]
    """shape = (samples,), 16 kHz mono in [-1, 1]."""
    loudness: NDArray[np.float64]
    """shape = (frames,) at ``FRAME_RATE_HZ``, 0 (silence) to 1: how far the mouth opens."""

    @property
    def duration_s(self) -> float:
        return len(self.waveform) / SAMPLE_RATE_HZ


def speak(sentence: str, speaker: Speaker, prosody: Prosody, rng: np.random.Generator) -> Speech:
    """Say a sentence; the letters choose the vowels and where it hisses."""
    syllables = _syllables(sentence)
    starts, ends, duration_s = _timing(syllables, speaker, prosody, rng)
    time_s = np.arange(round(duration_s * FRAME_RATE_HZ)) / FRAME_RATE_HZ
    loudness = _loudness(time_s, starts, ends, rng)
    pitch_hz = _pitch(time_s, starts, ends, speaker, prosody, rng)
    formants_hz = _formants(time_s, syllables, starts, ends, speaker)
    samples = round(duration_s * SAMPLE_RATE_HZ)
    voiced = _voiced(samples, time_s, loudness, pitch_hz, formants_hz, speaker, prosody, rng)
    hiss = _hiss(samples, time_s, loudness, syllables, starts, speaker, prosody, rng)
    level_db = speaker.level_dbfs + prosody.level_db + float(rng.normal(0, 1.5))
    waveform = _at_level(voiced + hiss, level_db) + _room_noise(samples, rng)
    return Speech(np.clip(waveform, -1, 1).astype(np.float32), loudness)


@dataclass(frozen=True)
class _Syllable:
    formants_hz: tuple[int, int, int]
    fricative: bool
    stressed: bool
    word_end: bool


def _syllables(sentence: str) -> list[_Syllable]:
    found: list[_Syllable] = []
    for word in re.findall(r"[a-z]+", sentence.lower()):
        groups = _SYLLABLE.findall(word)
        if len(groups) > 1 and word.endswith("e"):  # a silent e
            groups = groups[:-1]
        for index, (onset, vowel) in enumerate(groups):
            found.append(
                _Syllable(
                    formants_hz=VOWELS_HZ[vowel],
                    fricative=bool(FRICATIVES & set(onset)),
                    stressed=index == 0 and len(word) > 3,
                    word_end=index == len(groups) - 1,
                )
            )
    return found or [_Syllable(VOWELS_HZ["a"], False, True, True)]


def _timing(
    syllables: list[_Syllable], speaker: Speaker, prosody: Prosody, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """When each syllable's vowel starts and ends, and how long the clip is."""
    weight = np.array([1.0 + 0.3 * s.stressed + 0.15 * s.word_end for s in syllables])
    weight *= rng.uniform(0.85, 1.15, len(syllables))
    weight[-1] *= 1.4
    length = weight / weight.mean() / (speaker.syllables_per_s * max(0.5, prosody.tempo))
    length *= min(1.0, LONGEST_SPEECH_S / length.sum())
    margin = MARGIN_S + max(0.0, SHORTEST_CLIP_S - 2 * MARGIN_S - length.sum()) / 2
    edges = margin + np.concatenate([[0.0], np.cumsum(length)])
    return edges[:-1] + 0.25 * length, edges[1:], float(edges[-1] + margin)


def _loudness(
    time_s: NDArray[np.float64],
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """One hump a syllable."""
    peak = rng.uniform(0.7, 1.0, len(starts))
    inside = (time_s[:, None] - starts) / (ends - starts)
    hump = np.sin(np.pi * np.clip(inside, 0, 1)) ** 0.6
    return np.asarray((hump * peak).max(axis=1))


def _pitch(
    time_s: NDArray[np.float64],
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    speaker: Speaker,
    prosody: Prosody,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Slope over the utterance, a rise on each syllable, and a slow wander."""
    centre = (starts + ends) / 2
    accents = prosody.range_st * rng.uniform(-0.6, 1.0, len(starts))
    progress = (time_s - starts[0]) / (ends[-1] - starts[0])
    wander = 0.4 * np.sin(2 * np.pi * (rng.uniform(0.5, 1.5) * time_s + rng.random()))
    semitones = (
        prosody.pitch_st
        + prosody.slope_st * (np.clip(progress, 0, 1) - 0.5)
        + np.interp(time_s, centre, accents)
        + wander
    )
    return np.asarray(speaker.pitch_hz * 2 ** (semitones / 12))


def _formants(
    time_s: NDArray[np.float64],
    syllables: list[_Syllable],
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    speaker: Speaker,
) -> NDArray[np.float64]:
    """shape = (frames, 4), gliding from vowel to vowel."""
    centre = (starts + ends) / 2
    vowels = np.array([(*s.formants_hz, HIGHER_FORMANT_HZ) for s in syllables], dtype=np.float64)
    tracks = [np.interp(time_s, centre, vowels[:, j]) for j in range(vowels.shape[1])]
    return np.stack(tracks, axis=1) * speaker.tract_scale


def _voiced(
    samples: int,
    time_s: NDArray[np.float64],
    loudness: NDArray[np.float64],
    pitch_hz: NDArray[np.float64],
    formants_hz: NDArray[np.float64],
    speaker: Speaker,
    prosody: Prosody,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Add up the formant waves of all pulses."""
    cycles = np.cumsum(pitch_hz) / FRAME_RATE_HZ
    pulse_s = np.interp(np.arange(1, int(cycles[-1])), cycles, time_s)
    roughness = max(0.0, speaker.jitter + prosody.jitter)
    pulse_s += roughness * rng.standard_normal(len(pulse_s)) / np.interp(pulse_s, time_s, pitch_hz)
    gain = np.interp(pulse_s, time_s, loudness)
    gain = gain * (1 + 3 * roughness * rng.standard_normal(len(pulse_s)))
    keep = np.abs(gain) > 1e-3
    pulse_s, gain = pulse_s[keep], gain[keep]
    hertz = np.stack([np.interp(pulse_s, time_s, formants_hz[:, j]) for j in range(4)], axis=1)
    loss_db = FORMANT_LEVELS_DB - prosody.tilt_db_per_khz * (hertz - hertz[:, :1]) / 1000
    return _pulses(samples, pulse_s, gain[:, None] * 10 ** (loss_db / 20), hertz)


def _pulses(
    samples: int,
    pulse_s: NDArray[np.float64],
    gain: NDArray[np.float64],
    hertz: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Waves that start at ``pulse_s``; gain and hertz have the shape (pulses, formants)."""
    first = np.ceil(pulse_s * SAMPLE_RATE_HZ)
    delay_s = (first / SAMPLE_RATE_HZ - pulse_s)[:, None]
    after_s = (np.arange(PULSE_SAMPLES) / SAMPLE_RATE_HZ + delay_s).astype(np.float32)
    waves = np.zeros(after_s.shape, dtype=np.float32)
    for j, bandwidth_hz in enumerate(BANDWIDTHS_HZ):
        turn = (2 * np.pi * hertz[:, j, None]).astype(np.float32)
        decay = np.exp(-np.float32(np.pi * bandwidth_hz) * after_s)
        waves += gain[:, j, None].astype(np.float32) * decay * np.sin(turn * after_s)
    index = (first[:, None] + np.arange(PULSE_SAMPLES)).astype(np.int64)
    summed = np.bincount(index.ravel(), weights=waves.ravel(), minlength=samples)
    return np.asarray(summed[:samples])


def _hiss(
    samples: int,
    time_s: NDArray[np.float64],
    loudness: NDArray[np.float64],
    syllables: list[_Syllable],
    starts: NDArray[np.float64],
    speaker: Speaker,
    prosody: Prosody,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Breath under the voice, and a short noise before a syllable with a fricative."""
    breath = max(0.0, speaker.breath + prosody.breath)
    onsets = starts[[s.fricative for s in syllables]] - 0.02
    bursts = np.exp(-(((time_s[:, None] - onsets) / 0.02) ** 2)).sum(axis=1)
    level = 10 ** (-prosody.tilt_db_per_khz / 20) * (breath * loudness + 0.12 * bursts)
    noise = np.diff(rng.standard_normal(samples + 1))
    return np.asarray(noise * np.interp(np.arange(samples) / SAMPLE_RATE_HZ, time_s, level))


def _at_level(waveform: NDArray[np.float64], level_dbfs: float) -> NDArray[np.float64]:
    rms = float(np.sqrt(np.mean(waveform**2)))
    return waveform * (10 ** (level_dbfs / 20) / max(rms, 1e-9))


def _room_noise(samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Low-pass noise of a room and its microphone, -58 to -42 dBFS."""
    noise = np.convolve(rng.standard_normal(samples + 15), np.hanning(18)[1:-1], mode="valid")
    return _at_level(noise, float(rng.uniform(-58, -42)))
