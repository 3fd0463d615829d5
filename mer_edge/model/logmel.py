"""VGGish's log-mel spectrogram as slices and matrix products, inside the audio graph.

Constants (Hershey et al. 2017; the released ``vggish_params.py``): 16 kHz, periodic Hann window of
25 ms (400 samples) every 10 ms (160), FFT of 512 without centre padding, magnitude, 64 HTK mel
bands from 125 to 7500 Hz, natural logarithm of (mel + 0.01); 96 frames make an example.

Framing and DFT are one convolution and one batched matrix product (Cooley and Tukey's two steps),
512 = 32 x 16, with n = 16 a + b and k = c + 32 d:

    X[c + 32 d] = sum_b W16^(b d) W512^(b c) sum_a W32^(a c) x[16 a + b]

The inner sum is a convolution of stride 10 over the waveform's 16 phases b. Against the direct
product with a 400 x 512 basis that is a fifth of the multiplications, about half the time in ONNX
Runtime and 170 kB of constants instead of 820 kB. Its rounding is that of an fp32 FFT. Every
operator (convolution, matrix product, square root, logarithm) exists in every inference engine.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from mer_edge.model.precision import without_autocast
from mer_edge.segments import SAMPLE_RATE_HZ, SEGMENT_SAMPLES

WINDOW_SAMPLES = 400
"""25 ms."""
HOP_SAMPLES = 160
"""10 ms."""
FFT_SIZE = 512
MEL_BANDS = 64
MEL_LOW_HZ = 125.0
MEL_HIGH_HZ = 7500.0
LOG_OFFSET = 0.01
MAX_GAIN_DB = 40.0
"""Of levelling: what is quieter than that below the level stays quieter, digital silence silent."""
FRAMES = (SEGMENT_SAMPLES - WINDOW_SAMPLES) // HOP_SAMPLES + 1
"""96 frames an example."""

_PHASES = 16
"""b; 16 divides window and hop, so a frame is 25 rows of 16 samples and the next is 10 rows on."""
_ROWS = WINDOW_SAMPLES // _PHASES
_FIRST = 32
"""c"""
_SECOND = 8
"""d: half of 16, for the frequencies below the Nyquist one, which is above the mel bands."""


class LogMel(nn.Module):
    """Waveform of a segment (S, 15600) in [-1, 1] -> log-mel example (S, 96, 64), float32.

    Args:
        level_dbfs: the RMS that each segment is brought to first, see :func:`levelled`; None: none.
    """

    def __init__(self, level_dbfs: float | None = None) -> None:
        super().__init__()
        self.level_dbfs = level_dbfs
        for name, constant in (
            ("first_step", _first_step()),
            ("second_step", _second_step()),
            ("mel_bands", _mel_bands()),
        ):
            tensor = torch.from_numpy(constant.astype(np.float32))
            self.register_buffer(name, tensor, persistent=False)
        self.first_step: Tensor
        self.second_step: Tensor
        self.mel_bands: Tensor

    def forward(self, waveform: Tensor) -> Tensor:
        with without_autocast(waveform):
            if self.level_dbfs is not None:
                waveform = levelled(waveform, self.level_dbfs)
            return self._logmel(waveform)

    def _logmel(self, waveform: Tensor) -> Tensor:
        phases = waveform.reshape(-1, SEGMENT_SAMPLES // _PHASES, _PHASES).transpose(1, 2)
        partial = F.conv1d(  # (S, b 16 x [re c 32, im c 32], 96)
            phases, self.first_step, stride=HOP_SAMPLES // _PHASES, groups=_PHASES
        )
        partial = partial.reshape(-1, _PHASES, 2, _FIRST, FRAMES).permute(0, 3, 1, 2, 4)
        partial = partial.reshape(-1, _FIRST, 2 * _PHASES, FRAMES)  # (S, c, b x [re, im], 96)
        spectrum = torch.matmul(self.second_step, partial)  # (S, c, [re d 8, im d 8], 96)
        squares = spectrum * spectrum
        magnitude = torch.sqrt(squares[:, :, :_SECOND] + squares[:, :, _SECOND:])
        magnitude = magnitude.reshape(-1, _FIRST * _SECOND, FRAMES)  # (S, c x d, 96)
        mel = torch.matmul(self.mel_bands, magnitude)  # (S, 64, 96)
        return torch.log(mel + LOG_OFFSET).transpose(1, 2)


def levelled(waveform: Tensor, level_dbfs: float) -> Tensor:
    """Each segment (S, 15600) times one gain that brings its RMS to ``level_dbfs``.

    The gain is at most ``MAX_GAIN_DB``. Most of quiet speech lies under ``LOG_OFFSET`` otherwise,
    and a network learns how far the microphone was.
    """
    rms = torch.sqrt(torch.mean(waveform * waveform, dim=1, keepdim=True))  # (S, 1)
    gain = 10 ** (level_dbfs / 20) / torch.clamp(rms, min=10 ** ((level_dbfs - MAX_GAIN_DB) / 20))
    return waveform * gain


def periodic_hann(size: int) -> NDArray[np.float64]:
    """The Hann window whose period is ``size`` (``scipy.signal.get_window("hann", size)``)."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)


def _first_step() -> NDArray[np.float64]:
    """Window times W32^(a c) as a grouped kernel: (b 16 x [re c, im c] 64, 1, a 25)."""
    window = periodic_hann(WINDOW_SAMPLES).reshape(_ROWS, _PHASES).T  # (b, a)
    angles = -2 * np.pi * np.outer(np.arange(_FIRST), np.arange(_ROWS)) / _FIRST  # (c, a)
    turns = np.concatenate([np.cos(angles), np.sin(angles)])  # ([re c, im c], a)
    kernel: NDArray[np.float64] = window[:, None, :] * turns[None, :, :]
    return kernel.reshape(-1, 1, _ROWS)


def _second_step() -> NDArray[np.float64]:
    """W16^(b d) W512^(b c) as real matrices: (c 32, [re d, im d] 16, b x [re, im] 32)."""
    c, d, b = np.arange(_FIRST), np.arange(_SECOND), np.arange(_PHASES)
    turns = (c[:, None, None] / FFT_SIZE + d[None, :, None] / _PHASES) * b[None, None, :]
    cosine, sine = np.cos(-2 * np.pi * turns), np.sin(-2 * np.pi * turns)  # (c, d, b)
    to_real = np.stack([cosine, -sine], axis=3)  # (c, d, b, [re, im])
    to_imaginary = np.stack([sine, cosine], axis=3)
    return np.concatenate([to_real, to_imaginary], axis=1).reshape(_FIRST, 2 * _SECOND, -1)


def _mel_bands() -> NDArray[np.float64]:
    """The mel filters for frequencies in the order of the two steps: (64, c 32 x d 8)."""
    matrix = mel_matrix()[: _FIRST * _SECOND].reshape(_SECOND, _FIRST, MEL_BANDS)
    bands: NDArray[np.float64] = matrix.transpose(2, 1, 0).reshape(MEL_BANDS, -1)
    return bands


def mel_matrix() -> NDArray[np.float64]:
    """HTK mel filters, triangles that are linear in mel: (257 bins, 64 bands).

    mel = 1127 ln(1 + f / 700). The bin of 0 Hz belongs to no band.
    """
    bins_mel = hertz_to_mel(np.linspace(0.0, SAMPLE_RATE_HZ / 2, FFT_SIZE // 2 + 1))[:, None]
    low_mel, high_mel = hertz_to_mel(np.array([MEL_LOW_HZ, MEL_HIGH_HZ]))
    edges = np.linspace(low_mel, high_mel, MEL_BANDS + 2)
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins_mel - lower) / (centre - lower)
    falling = (upper - bins_mel) / (upper - centre)
    matrix: NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
    matrix[0] = 0.0
    return matrix


def hertz_to_mel(frequency_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """The HTK mel scale with VGGish's constants."""
    mel: NDArray[np.float64] = 1127.0 * np.log1p(frequency_hz / 700.0)
    return mel
