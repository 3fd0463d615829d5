"""Random changes of sound and faces that leave the emotion as it is; training alone makes them.

Time shift, gain, masked spans and bands of the sound (SpecAugment, Park et al. 2019, done on the
waveform so that the log-mel stays part of the model); mirrored, turned, shifted and relit faces.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_edge.segments import FACE_SIZE_PX, SAMPLE_RATE_HZ, SEGMENT_HOP_SAMPLES, SEGMENT_SAMPLES

MAX_SHIFT_S = 0.25
MAX_GAIN_DB = 8.0
MAX_MASKED_S = 0.16
"""Of each segment."""
MASKED_MEL = (1127 * np.log(1 + 125 / 700), 1127 * np.log(1 + 7500 / 700))
"""The range of VGGish's mel bands, in mel."""
MAX_MASKED_BAND = 0.19
"""Of that range: 12 of 64 bands."""
MASKED_BANDS = 2
MAX_TURN_DEGREES = 10.0
MAX_SCALE = 0.1
MAX_MOVE = 0.08
"""Of the face's side."""
MAX_CONTRAST = 0.2
MAX_BRIGHTNESS = 25.0
"""Of 255."""


def augment_sound(waveform: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """A changed copy of the segments (S, 15600) of one clip."""
    shift_s = rng.uniform(-MAX_SHIFT_S, MAX_SHIFT_S)
    changed = _shifted(waveform, round(shift_s * SAMPLE_RATE_HZ))
    changed *= np.float32(10 ** (rng.uniform(-MAX_GAIN_DB, MAX_GAIN_DB) / 20))
    _mask_bands(changed, rng)
    for segment in changed:
        width = int(rng.uniform(0, MAX_MASKED_S) * SAMPLE_RATE_HZ)
        start = int(rng.integers(SEGMENT_SAMPLES - width))
        segment[start : start + width] = 0
    return np.clip(changed, -1, 1, out=changed)


def augment_faces(faces: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Changed copies of the faces (S, 224, 224, 3) of one clip: all of them changed alike."""
    middle = FACE_SIZE_PX / 2
    turn = rng.uniform(-MAX_TURN_DEGREES, MAX_TURN_DEGREES)
    matrix = cv2.getRotationMatrix2D((middle, middle), turn, 1 + rng.uniform(-MAX_SCALE, MAX_SCALE))
    matrix[:, 2] += rng.uniform(-MAX_MOVE, MAX_MOVE, 2) * FACE_SIZE_PX
    if rng.random() < 0.5:
        matrix[0] = -matrix[0]
        matrix[0, 2] += FACE_SIZE_PX - 1
    contrast = 1 + rng.uniform(-MAX_CONTRAST, MAX_CONTRAST)
    brightness = rng.uniform(-MAX_BRIGHTNESS, MAX_BRIGHTNESS)
    size = (FACE_SIZE_PX, FACE_SIZE_PX)
    changed = [
        cv2.warpAffine(face, matrix, size, borderMode=cv2.BORDER_REPLICATE) for face in faces
    ]
    lit = np.stack(changed).astype(np.float32) * contrast + brightness
    pixels: NDArray[np.uint8] = np.clip(lit, 0, 255).astype(np.uint8)
    return pixels


def _shifted(waveform: NDArray[np.float32], shift: int) -> NDArray[np.float32]:
    """The clip ``shift`` samples later (earlier if negative), silence where nothing was."""
    hop, segments = SEGMENT_HOP_SAMPLES, len(waveform)
    whole = np.concatenate([waveform[:, :hop].ravel(), waveform[-1, hop:]])
    moved = np.zeros_like(whole)
    if shift >= 0:
        moved[shift:] = whole[: len(whole) - shift]
    else:
        moved[:shift] = whole[-shift:]
    starts = range(0, segments * hop, hop)
    return np.stack([moved[start : start + SEGMENT_SAMPLES] for start in starts])


def _mask_bands(waveform: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Silence bands of frequencies, the same in all segments, in place."""
    spectrum = np.fft.rfft(waveform)
    frequency_hz = np.fft.rfftfreq(SEGMENT_SAMPLES, 1 / SAMPLE_RATE_HZ)
    mel = 1127 * np.log(1 + frequency_hz / 700)
    low, high = MASKED_MEL
    for _ in range(MASKED_BANDS):
        width = rng.uniform(0, MAX_MASKED_BAND) * (high - low)
        start = rng.uniform(low, high - width)
        spectrum[:, (mel >= start) & (mel < start + width)] = 0
    waveform[:] = np.fft.irfft(spectrum, SEGMENT_SAMPLES)
