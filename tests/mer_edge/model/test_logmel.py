"""Log-mel against an implementation of other hands: torchaudio's spectrogram, Kaldi's mel bank.

The reference runs in float64, so that what is left is the rounding of ours.
"""

import math
from functools import cache

import pytest
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mer_edge.model.logmel import LogMel, levelled, mel_matrix
from mer_edge.segments import SAMPLE_RATE_HZ, SEGMENT_SAMPLES

LOG_MEL = LogMel()
TIME_S = torch.arange(SEGMENT_SAMPLES, dtype=torch.float64) / SAMPLE_RATE_HZ


def kaldi_mel_bank() -> Tensor:
    """(64 bands, 257 bins): HTK mel with triangles linear in mel, as Kaldi has it."""
    bank, _ = torchaudio.compliance.kaldi.get_mel_banks(
        64, 512, float(SAMPLE_RATE_HZ), 125.0, 7500.0, 100.0, -500.0, 1.0
    )
    return torch.nn.functional.pad(bank, (0, 1)).double()  # Kaldi leaves the Nyquist bin out


def reference(waveform: Tensor) -> Tensor:
    """(S, 15600) -> (S, 96, 64) float64."""
    magnitude = torchaudio.functional.spectrogram(
        waveform.double(),
        pad=(512 - 400) // 2,  # it puts the window in the middle of the 512
        window=torch.hann_window(400, periodic=True, dtype=torch.float64),
        n_fft=512,
        hop_length=160,
        win_length=400,
        power=1.0,
        normalized=False,
        center=False,
    )
    return torch.log(torch.matmul(exact_mel_bank(), magnitude) + 0.01).transpose(1, 2)


@cache
def exact_mel_bank() -> Tensor:
    """The triangles once more, band by band, in float64: Kaldi's bank is rounded half way."""
    edges = torch.linspace(_mel(125.0), _mel(7500.0), 66, dtype=torch.float64).tolist()
    bank = torch.zeros(64, 257, dtype=torch.float64)
    for band, (left, centre, right) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        for k in range(1, 257):
            mel = _mel(k * SAMPLE_RATE_HZ / 512)
            if left < mel <= centre:
                bank[band, k] = (mel - left) / (centre - left)
            elif centre < mel < right:
                bank[band, k] = (right - mel) / (right - centre)
    return bank


def _mel(frequency_hz: float) -> float:
    return 1127.0 * math.log(1.0 + frequency_hz / 700.0)


def largest_difference(waveform: Tensor) -> float:
    return float((LOG_MEL(waveform) - reference(waveform)).abs().max().detach())


def tone(frequency_hz: float, amplitude: float) -> Tensor:
    return (amplitude * torch.sin(2 * math.pi * frequency_hz * TIME_S)).float().unsqueeze(0)


def test_frames_are_read_without_centre_padding() -> None:
    assert LOG_MEL(torch.zeros(3, SEGMENT_SAMPLES)).shape == (3, 96, 64)
    click = torch.zeros(1, SEGMENT_SAMPLES)
    click[0, 160 * 50 + 200] = 1.0  # the middle of frame 50, near the ends of 49 and 51
    energy = LOG_MEL(click)[0].exp().sum(1)
    assert int(energy.argmax()) == 50
    assert [int(i) for i in (energy > energy.min() + 1e-3).nonzero().flatten()] == [49, 50, 51]


def test_silence_is_the_logarithm_of_the_offset() -> None:
    assert torch.equal(
        LOG_MEL(torch.zeros(1, SEGMENT_SAMPLES)), torch.full((1, 96, 64), 0.01).log()
    )


@pytest.mark.parametrize(
    "waveform",
    [
        pytest.param(torch.zeros(1, SEGMENT_SAMPLES), id="silence"),
        pytest.param(torch.rand(4, SEGMENT_SAMPLES) * 2 - 1, id="full-scale noise"),
        pytest.param(torch.randn(4, SEGMENT_SAMPLES) * 1e-4, id="faint noise"),
        pytest.param(torch.sign(tone(440.0, 1.0)), id="full-scale square wave"),
        pytest.param(torch.eye(SEGMENT_SAMPLES)[[0, 1, 199, 7777, 15599]], id="clicks"),
        pytest.param(torch.ones(1, SEGMENT_SAMPLES) * 0.1, id="direct current"),
        pytest.param(
            torch.nn.functional.pad(torch.randn(1, 300), (0, 15300)) * 0.3, id="mostly padding"
        ),
        pytest.param(
            torch.round(torch.randn(2, SEGMENT_SAMPLES) * 2).clamp(-4, 4) / 32768, id="last bits"
        ),
    ],
)
def test_equals_the_reference(waveform: Tensor) -> None:
    assert largest_difference(waveform) <= 1e-4


@pytest.mark.parametrize("frequency_hz", [50.0, 125.0, 440.0, 1000.0, 3141.6, 7000.0, 7500.0])
def test_tones_equal_the_reference(frequency_hz: float) -> None:
    """At full scale a lone tone leaves bands that hold nothing but the rounding of fp32."""
    assert largest_difference(tone(frequency_hz, 0.05)) <= 1e-4
    assert largest_difference(tone(frequency_hz, 1.0)) <= 3e-3


@pytest.mark.parametrize("frequency_hz", [440.0, 3141.6, 7999.0])
def test_full_scale_tones_round_no_worse_than_an_fp32_fft(frequency_hz: float) -> None:
    waveform = tone(frequency_hz, 1.0)
    window = torch.hann_window(400, periodic=True)
    spectrum = torch.fft.rfft(waveform.unfold(1, 400, 160) * window, n=512).abs()
    fft = torch.log(torch.matmul(spectrum, exact_mel_bank().float().T) + 0.01)
    rounding = float((fft - reference(waveform)).abs().max().detach())
    assert largest_difference(waveform) <= 4 * rounding


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    loudness=st.floats(1e-5, 0.3),
    frequency_hz=st.floats(20.0, 7900.0),
    start=st.integers(0, SEGMENT_SAMPLES),
)
def test_mixtures_equal_the_reference(
    seed: int, loudness: float, frequency_hz: float, start: int
) -> None:
    noise = torch.randn(1, SEGMENT_SAMPLES, generator=torch.Generator().manual_seed(seed))
    waveform = (loudness * noise + tone(frequency_hz, 0.05)).clamp(-1, 1)
    waveform[:, start:] = 0.0
    assert largest_difference(waveform) <= 1e-4


def test_mel_matrix_is_the_htk_one() -> None:
    matrix = torch.from_numpy(mel_matrix())
    assert matrix.shape == (257, 64)
    assert float((matrix.T - exact_mel_bank()).abs().max().detach()) <= 1e-12
    # Kaldi's code works on float32 mels, of which a triangle is about 35 wide.
    assert float((matrix.T - kaldi_mel_bank()).abs().max().detach()) <= 1e-4


def test_mel_matrix_by_hand() -> None:
    """Band 0 rises from 125 Hz; bin 4 is 125 Hz itself, bin 0 belongs to no band."""
    matrix = mel_matrix()
    assert matrix[:5].sum() == pytest.approx(0.0, abs=1e-12)
    assert matrix[5].argmax() == 0
    assert matrix[241:].sum() == 0.0  # above 7500 Hz
    assert matrix.max() <= 1.0


def test_levelled_features_do_not_depend_on_the_gain() -> None:
    torch.manual_seed(0)
    speech = 0.05 * torch.randn(2, SEGMENT_SAMPLES)
    logmel = LogMel(level_dbfs=-20.0)
    expected = logmel(speech)
    assert torch.equal(expected, LogMel()(levelled(speech, -20.0)))
    for gain_db in (-25.0, -6.0, 20.0):
        found = logmel(speech * 10 ** (gain_db / 20))
        assert float((found - expected).abs().max()) <= 1e-4
        assert float((LogMel()(speech * 10 ** (gain_db / 20)) - LogMel()(speech)).abs().max()) > 0.3


def test_the_level_is_the_rms_and_each_segment_has_its_own_gain() -> None:
    torch.manual_seed(0)
    speech = torch.randn(3, SEGMENT_SAMPLES) * torch.tensor([[0.5], [0.05], [0.005]])
    rms = levelled(speech, -26.0).square().mean(1).sqrt()
    assert torch.allclose(rms, torch.full((3,), 10 ** (-26 / 20)), rtol=1e-5)


def test_the_gain_ends_at_forty_decibels_and_silence_stays_silence() -> None:
    faint = torch.full((1, SEGMENT_SAMPLES), 1e-5)  # -100 dBFS
    assert torch.allclose(levelled(faint, -20.0), 100 * faint, rtol=1e-5)
    silence = torch.zeros(1, SEGMENT_SAMPLES)
    assert torch.equal(levelled(silence, -20.0), silence)
    floor = LogMel(level_dbfs=-20.0)(silence)
    assert torch.allclose(floor, torch.full_like(floor, math.log(0.01)), atol=1e-3)
