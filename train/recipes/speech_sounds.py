"""Sounds of speech as the speech encoder learns from them: read, trimmed, changed at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import resample

from mer_edge.errors import MerEdgeError
from mer_edge.media.segmenting import segment_waveform
from mer_edge.segments import (
    SAMPLE_RATE_HZ,
    SEGMENT_HOP_SAMPLES,
    SEGMENT_SAMPLES,
    segment_count,
)

FRAME_SAMPLES = 320
"""20 ms: what is trimmed is measured in such frames."""
TRIM_DB = 35.0
"""Frames this far below the loudest are silence at the beginning and the end."""
TRIM_MARGIN_S = 0.1
VOICED_DB = 25.0
"""Segments this far below the clip's loudest have no say."""
EDGE_S = 0.3
"""A crop may reach this far over the ends of the clip, into silence."""


@dataclass(frozen=True)
class SoundChanges:
    """How a clip is changed for training; each probability is drawn once a clip.

    The set is small and the network learns from nothing: with more than half of the clips changed
    it was still learning slowly after the time that there was.
    """

    speed: tuple[float, float] = (0.9, 1.1)
    """Times faster, pitch and formants included."""
    reverb_probability: float = 0.15
    reverb_s: tuple[float, float] = (0.15, 0.7)
    """RT60 of a synthetic impulse response."""
    direct_db: tuple[float, float] = (0.0, 15.0)
    """Direct sound over reverberation."""
    band_probability: float = 0.15
    low_cut_hz: tuple[float, float] = (50.0, 350.0)
    high_cut_hz: tuple[float, float] = (2500.0, 7500.0)
    """Telephones end at 3400 Hz, low-rate codecs at 4 to 7 kHz."""
    noise_probability: float = 0.2
    babble_share: float = 0.3
    """Of the clips with noise: other speakers of the training set together."""
    babble_voices: tuple[int, int] = (3, 6)
    snr_db: tuple[float, float] = (5.0, 35.0)
    gain_db: tuple[float, float] = (-25.0, 10.0)
    """Above full scale sound is clipped."""


def read_sound(path: Path) -> NDArray[np.float32]:
    """16 kHz mono samples, shape (samples,).

    Raises:
        MerEdgeError: the file is missing, cannot be decoded or holds no sound.
    """
    try:
        with av.open(str(path)) as container:
            resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE_HZ)
            frames = [*container.decode(audio=0), None]
            parts = [part.to_ndarray()[0] for f in frames for part in resampler.resample(f)]
    except (OSError, IndexError) as error:  # PyAV's errors are OSErrors; no stream: IndexError
        raise MerEdgeError(f"{path}: no sound could be read ({error}); expected audio") from error
    if not parts:
        raise MerEdgeError(f"{path}: no sound in it; expected an utterance")
    return np.concatenate(parts)


def trimmed(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without the silence before and after the speech, but for 0.1 s."""
    frames = len(sound) // FRAME_SAMPLES
    if frames == 0:
        return sound
    framed = sound[: frames * FRAME_SAMPLES].reshape(frames, FRAME_SAMPLES)
    rms = np.sqrt(np.mean(framed.astype(np.float64) ** 2, axis=1))
    loud = np.flatnonzero(rms > rms.max() * 10 ** (-TRIM_DB / 20))
    if len(loud) == 0:
        return sound
    margin = round(TRIM_MARGIN_S * SAMPLE_RATE_HZ)
    start = max(0, loud[0] * FRAME_SAMPLES - margin)
    return sound[start : (loud[-1] + 1) * FRAME_SAMPLES + margin]


def clip_segments(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """The segments (S, 15600) that the product cuts a clip into."""
    return segment_waveform(sound, segment_count(len(sound) / SAMPLE_RATE_HZ))


def voiced(segments: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which segments (S, 15600) of one clip have speech, by energy: (S,); at least one."""
    rms = np.sqrt(np.mean(segments.astype(np.float64) ** 2, axis=1))
    loud: NDArray[np.bool_] = rms >= rms.max() * 10 ** (-VOICED_DB / 20)
    return loud


def training_crop(
    sounds: Sequence[NDArray[np.float32]],
    index: int,
    segments: int,
    changes: SoundChanges,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A changed piece of ``sounds[index]`` as segments (K, 15600), and which are voiced (K,)."""
    faster = rng.uniform(*changes.speed)
    sound = sounds[index]
    sound = resample(sound, round(len(sound) / faster)).astype(np.float32)
    piece = _piece(sound, (segments - 1) * SEGMENT_HOP_SAMPLES + SEGMENT_SAMPLES, rng)
    mask = voiced(segment_waveform(piece, segments))
    piece = _filtered(piece, changes, rng)
    if rng.random() < changes.noise_probability:
        piece = _with_noise(piece, sounds, changes, rng)
    peak = float(np.abs(piece).max()) or 1.0
    piece = np.clip(piece * (10 ** (rng.uniform(*changes.gain_db) / 20) / peak), -1, 1)
    return segment_waveform(piece.astype(np.float32), segments), mask


def _piece(
    sound: NDArray[np.float32], length: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """``length`` samples from a random start; silence beyond the ends."""
    edge = round(EDGE_S * SAMPLE_RATE_HZ)
    free = len(sound) - length
    start = int(rng.integers(min(free, 0) - edge, max(free, 0) + edge + 1))
    piece = np.zeros(length, np.float32)
    first, last = max(start, 0), min(start + length, len(sound))
    piece[first - start : last - start] = sound[first:last]
    return piece


def _filtered(
    piece: NDArray[np.float32], changes: SoundChanges, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Reverberation and band limits, in one pass over the spectrum."""
    response = np.ones(1)
    if rng.random() < changes.reverb_probability:
        response = _impulse_response(changes, rng)
    limits = None
    if rng.random() < changes.band_probability:
        limits = rng.uniform(*changes.low_cut_hz), rng.uniform(*changes.high_cut_hz)
    if len(response) == 1 and limits is None:
        return piece
    size = next_fast_len(len(piece) + len(response) - 1, real=True)
    spectrum = rfft(piece, size) * rfft(response.astype(np.float32), size)
    if limits is not None:
        frequency_hz = np.arange(len(spectrum)) * (SAMPLE_RATE_HZ / size)
        low, high = limits  # Butterworth-like slopes of 24 and 48 dB an octave
        spectrum /= np.sqrt(1 + (low / np.maximum(frequency_hz, 1.0)) ** 8)
        spectrum /= np.sqrt(1 + (frequency_hz / high) ** 16)
    changed: NDArray[np.float32] = irfft(spectrum, size)[: len(piece)].astype(np.float32)
    return changed


def _impulse_response(changes: SoundChanges, rng: np.random.Generator) -> NDArray[np.float64]:
    """One direct sound, then noise that decays by 60 dB in RT60."""
    rt60_s = rng.uniform(*changes.reverb_s)
    length = round(rt60_s * SAMPLE_RATE_HZ)
    tail = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    tail *= 10 ** (-rng.uniform(*changes.direct_db) / 20) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    response: NDArray[np.float64] = tail
    return response


def _with_noise(
    piece: NDArray[np.float32],
    sounds: Sequence[NDArray[np.float32]],
    changes: SoundChanges,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    if rng.random() < changes.babble_share:
        voices = rng.integers(len(sounds), size=rng.integers(*changes.babble_voices, endpoint=True))
        noise = np.sum([_turned(sounds[v], len(piece), rng) for v in voices], axis=0)
    else:
        noise = _coloured_noise(len(piece), rng)
    power, noise_power = np.mean(piece**2), np.mean(noise**2)
    if noise_power == 0:
        return piece
    snr_db = rng.uniform(*changes.snr_db)
    mixed: NDArray[np.float32] = piece + noise.astype(np.float32) * np.float32(
        np.sqrt(power / noise_power) * 10 ** (-snr_db / 20)
    )
    return mixed


def _turned(
    sound: NDArray[np.float32], length: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """``length`` samples of an endless repetition, from a random start, at an RMS of 1."""
    start = int(rng.integers(len(sound)))
    repeated = np.resize(np.roll(sound, -start), length)
    turned: NDArray[np.float32] = repeated / (np.sqrt(np.mean(repeated**2)) + 1e-6)
    return turned


def _coloured_noise(length: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise whose power falls with frequency to the power 0 (white) to 2 (brown)."""
    size = next_fast_len(length, real=True)
    spectrum = rfft(rng.standard_normal(size, dtype=np.float32))
    spectrum *= np.maximum(np.arange(len(spectrum)), 8) ** (-rng.uniform(0.0, 2.0) / 2)
    noise: NDArray[np.float32] = irfft(spectrum, size)[:length].astype(np.float32)
    return noise
