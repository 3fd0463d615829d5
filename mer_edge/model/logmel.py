"""VGGish's log-mel spectrogram as slices and matrix products, inside the audio graph.

Constants (Hershey et al. 2017; the released ``vggish_params.py``): 16 kHz, periodic Hann window of
25 ms (400 samples) every 10 ms (160), FFT of 512 without centre padding, magnitude, 64 HTK mel
bands from 125 to 7500 Hz, natural logarithm of (mel + 0.01); 96 frames make an example.

The DFT is a matrix product in two steps (Cooley and Tukey), 512 = 32 x 16, with
n = 16 a + b and k = c + 32 d:

    X[c + 32 d] = sum_b W16^(b d) W512^(b c) sum_a W32^(a c) x[16 a + b]

which takes a fifth of the multiplications of the direct product and 70 kB of constants instead of
820 kB. Every operator in it (slice, concatenation, matrix product, square root, logarithm) exists
in every inference engine.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

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
FRAMES = (SEGMENT_SAMPLES - WINDOW_SAMPLES) // HOP_SAMPLES + 1
"""96 frames an example."""

_BLOCK = 80
"""The greatest common divisor of window and hop: a frame is 5 blocks, the next starts 2 later."""
_ROWS = WINDOW_SAMPLES // 16
"""25: the values of a for which the window is not zero."""
_BINS = FFT_SIZE // 2
"""256: every frequency but the Nyquist one, which lies above the highest mel band."""


class LogMel(nn.Module):
    """Waveform of a segment (S, 15600) in [-1, 1] -> log-mel example (S, 96, 64), float32."""

    def __init__(self) -> None:
        super().__init__()
        for name, constant in (
            ("window", periodic_hann(WINDOW_SAMPLES)),
            ("first_step", _first_step()),
            ("second_step", _second_step()),
            ("mel_matrix", mel_matrix()[:_BINS]),
        ):
            tensor = torch.from_numpy(constant.astype(np.float32))
            self.register_buffer(name, tensor, persistent=False)
        self.window: Tensor
        self.first_step: Tensor
        self.second_step: Tensor
        self.mel_matrix: Tensor

    def forward(self, waveform: Tensor) -> Tensor:
        frames = _frames(waveform) * self.window  # (S, 96, 400)
        rows = frames.reshape(-1, FRAMES, _ROWS, 16).transpose(2, 3)  # (S, 96, b 16, a 25)
        partial = torch.matmul(rows, self.first_step)  # (S, 96, b 16, 2 c 64)
        partial = partial.reshape(-1, FRAMES, 16, 2, 32).permute(0, 4, 1, 3, 2)
        partial = partial.reshape(-1, 32, FRAMES, 32)  # (S, c 32, 96, [re b, im b])
        spectrum = torch.matmul(partial, self.second_step)  # (S, c 32, 96, [re d 8, im d 8])
        squares = spectrum * spectrum
        magnitude = torch.sqrt(squares[..., :8] + squares[..., 8:])  # (S, c, 96, d)
        magnitude = magnitude.permute(0, 2, 3, 1).reshape(-1, FRAMES, _BINS)  # bin = 32 d + c
        return torch.log(torch.matmul(magnitude, self.mel_matrix) + LOG_OFFSET)


def _frames(waveform: Tensor) -> Tensor:
    """(S, 15600) -> overlapping frames (S, 96, 400), out of five strided slices of blocks."""
    blocks = waveform.reshape(-1, SEGMENT_SAMPLES // _BLOCK, _BLOCK)  # (S, 195, 80)
    stride = HOP_SAMPLES // _BLOCK
    span = stride * (FRAMES - 1) + 1
    pieces = [blocks[:, i : i + span : stride] for i in range(WINDOW_SAMPLES // _BLOCK)]
    return torch.cat(pieces, dim=-1)


def periodic_hann(size: int) -> NDArray[np.float64]:
    """The Hann window whose period is ``size`` (``scipy.signal.get_window("hann", size)``)."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)


def _first_step() -> NDArray[np.float64]:
    """W32^(a c) for a < 25: (25, 64), the real parts of the 32 c, then the imaginary ones."""
    angles = -2 * np.pi * np.outer(np.arange(_ROWS), np.arange(32)) / 32
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1)


def _second_step() -> NDArray[np.float64]:
    """W16^(b d) W512^(b c) as real matrices: (c 32, [re b, im b] 32, [re d, im d] 16)."""
    b, d, c = np.arange(16), np.arange(8), np.arange(32)
    turns = b[None, :, None] * (c[:, None, None] / FFT_SIZE + d[None, None, :] / 16)
    cosine, sine = np.cos(-2 * np.pi * turns), np.sin(-2 * np.pi * turns)
    from_real = np.concatenate([cosine, sine], axis=2)
    from_imaginary = np.concatenate([-sine, cosine], axis=2)
    return np.concatenate([from_real, from_imaginary], axis=1)


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
    matrix = np.maximum(0.0, np.minimum(rising, falling))
    matrix[0] = 0.0
    return matrix


def hertz_to_mel(frequency_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """The HTK mel scale with VGGish's constants."""
    return 1127.0 * np.log1p(frequency_hz / 700.0)
