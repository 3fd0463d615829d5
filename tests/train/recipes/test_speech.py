"""The speech encoder's recipe, on tones: it learns, resumes to the same bits and folds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mer_edge.errors import MerEdgeError
from mer_edge.model.config import AudioSizes
from mer_edge.model.vggish import Vggish
from mer_edge.model.weights import load_vggish
from train.progress import Silent
from train.recipes.corpora import of_split, speech_recordings
from train.recipes.speech import (
    HEAD_FILE,
    STATE_FILE,
    WEIGHTS_FILE,
    SpeechSettings,
    clip_weights,
    spectrum_augmented,
    train_classifier,
    train_speech,
)
from train.recipes.speech_network import NormalisedVggish, SpeechClassifier, mean_of_voiced
from train.recipes.speech_scores import uar
from train.recipes.speech_sounds import SoundChanges, training_crop, trimmed, voiced
from train.recipes.temperature import calibration_error, fit_temperature

SIZES = AudioSizes((4, 6, 8, 8), 16, 12, level_dbfs=-20.0)
SETTINGS = SpeechSettings(sizes=SIZES, epochs=2, clips_per_batch=6)


class KilledError(Exception):
    """Stands in for the end of the process."""


class KilledAfter(Silent):
    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def step(self, stage: str, done: int, total: int, detail: str = "") -> None:
        if done == self.epochs:
            raise KilledError


def test_the_folded_network_is_the_trained_one() -> None:
    torch.manual_seed(0)
    trained = NormalisedVggish(SIZES, 0.1)
    for norm in trained.norms:
        torch.nn.init.uniform_(norm.weight, 0.5, 2.0)
        torch.nn.init.uniform_(norm.bias, -0.5, 0.5)
    for _ in range(10):
        trained(2 * torch.randn(6, 96, 64) - 1)  # gives BatchNorm its statistics
    log_mel = 2 * torch.randn(3, 96, 64) - 1
    plain = trained.eval().folded()
    assert list(plain.state_dict()) == list(Vggish(SIZES).state_dict())
    expected = trained(log_mel)
    largest = float(expected.detach().abs().max())
    assert 0.5 < largest < 10
    found = plain.embed(plain.features(log_mel.unsqueeze(1)))
    assert float((found - expected).detach().abs().max()) <= 1e-5 * max(1.0, largest)


def test_unvoiced_segments_have_no_say() -> None:
    embeddings = torch.tensor([[[1.0, 2.0], [5.0, 6.0]], [[1.0, 1.0], [3.0, 5.0]]])
    mask = torch.tensor([[True, False], [True, True]])
    assert mean_of_voiced(embeddings, mask).tolist() == [[1.0, 2.0], [2.0, 3.0]]


def test_silence_is_trimmed_and_told_from_voice() -> None:
    sound = np.zeros(48_000, np.float32)
    sound[16_000:32_000] = 0.1
    assert len(trimmed(sound)) == 16_000 + 2 * 1_600
    segments = np.stack([np.full(15_600, 0.1), np.full(15_600, 1e-3)]).astype(np.float32)
    assert voiced(segments).tolist() == [True, False]


def test_a_changed_crop_follows_from_its_seed_alone() -> None:
    rng = np.random.default_rng(0)
    sounds = [rng.standard_normal(n).astype(np.float32) for n in (9_000, 30_000, 60_000)]
    changes = SoundChanges(
        reverb_probability=1.0, band_probability=1.0, noise_probability=1.0, babble_share=0.5
    )
    for index in range(3):
        made = [
            training_crop(sounds, index, 2, changes, np.random.default_rng(7)) for _ in range(2)
        ]
        assert made[0][0].shape == (2, 15_600)
        assert made[0][0].dtype == np.float32
        assert np.abs(made[0][0]).max() <= 1.0
        assert made[0][1].any()
        np.testing.assert_array_equal(made[0][0], made[1][0])
        other, _ = training_crop(sounds, index, 2, changes, np.random.default_rng(8))
        assert not np.array_equal(made[0][0], other)


def test_masks_hide_cells_and_nothing_else_changes_without_warping() -> None:
    settings = replace(SETTINGS, mel_stretch=0.0, mel_shift_bands=0.0)
    log_mel = torch.randn(2, 3, 96, 64)
    changed = spectrum_augmented(log_mel, settings, np.random.default_rng(0))
    share = (changed != log_mel).float().mean()
    assert 0.05 < share < 0.5
    none = replace(settings, masked_bands=0, masked_frames=0)
    same = spectrum_augmented(log_mel, none, np.random.default_rng(0))
    assert torch.allclose(same, log_mel, atol=1e-6)


def test_training_resumes_to_the_same_bits(corpora: Path, tmp_path: Path) -> None:
    recordings = speech_recordings(corpora)
    whole = train_classifier(recordings, tmp_path / "whole.pt", SETTINGS, Silent())
    with pytest.raises(KilledError):
        train_classifier(recordings, tmp_path / "half.pt", SETTINGS, KilledAfter(1))
    again = train_classifier(recordings, tmp_path / "half.pt", SETTINGS, Silent())
    for name, value in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    start = SpeechClassifier(SIZES, 7, SETTINGS.dropout).state_dict()
    assert not torch.equal(whole.state_dict()["head.weight"], start["head.weight"])
    other = replace(SETTINGS, dropout=0.0)
    with pytest.raises(MerEdgeError, match="other settings or data"):
        train_classifier(recordings, tmp_path / "half.pt", other, Silent())


def test_a_held_out_speaker_never_trains(corpora: Path, tmp_path: Path) -> None:
    recordings = [
        replace(r, split="train") if r.speaker == "ravdess-12" else r
        for r in speech_recordings(corpora)
    ]
    with pytest.raises(MerEdgeError, match="ravdess-12 is in train; expected test"):
        train_classifier(recordings, tmp_path / "state.pt", SETTINGS, Silent())


def test_the_stage_writes_what_the_next_ones_load(corpora: Path, tmp_path: Path) -> None:
    made = train_speech(corpora, tmp_path, replace(SETTINGS, epochs=1))
    encoder = Vggish(SIZES)
    load_vggish(encoder, made / WEIGHTS_FILE)
    assert (made / HEAD_FILE).is_file()
    assert not (tmp_path / STATE_FILE).exists()
    record = json.loads((made / "speech.json").read_text())
    assert record["settings"]["sizes"]["level_dbfs"] == -20.0
    assert 0.2 <= record["temperature"] <= 5.0
    assert record["figures"]["emodb"]["clips"] == 4
    assert record["figures"]["ravdess test"]["clips"] == 28
    assert set(record["figures"]["ravdess test"]["recall"]) == set(record["labels"])
    assert not set(record["speakers"]["train"]) & set(record["speakers"]["test"])
    before = (made / WEIGHTS_FILE).stat().st_mtime_ns
    assert train_speech(corpora, tmp_path, SETTINGS) == made  # finished: returns at once
    assert (made / WEIGHTS_FILE).stat().st_mtime_ns == before


def test_figures_are_those_counted_by_hand(corpora: Path) -> None:
    truth = np.array([0, 0, 0, 1])
    assert uar(truth, np.array([0, 0, 1, 1])) == pytest.approx((2 / 3 + 1) / 2)
    sure = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9]])
    assert calibration_error(truth, sure) == pytest.approx(abs(0.9 - 0.75))
    members = [r for r in speech_recordings(corpora) if r.speaker == "ravdess-03"]
    labels = np.arange(7)[[sorted({r.label for r in members}).index(r.label) for r in members]]
    logits = 20.0 * np.eye(7)[labels]
    logits[0] = 20.0 * np.eye(7)[(labels[0] + 1) % 7]  # very sure and once wrong
    assert fit_temperature(logits, labels) == pytest.approx(5.0, abs=0.01)


def test_every_class_of_a_corpus_weighs_the_same(corpora: Path) -> None:
    chosen = of_split(speech_recordings(corpora), "train")[:-1]
    weights = clip_weights(chosen, 1.0)
    assert float(weights.mean()) == pytest.approx(1.0)
    sums: dict[tuple[str, str], float] = {}
    for recording, weight in zip(chosen, weights.tolist(), strict=True):
        cell = recording.corpus, recording.label
        sums[cell] = sums.get(cell, 0.0) + weight
    assert len(sums) == 10  # RAVDESS has seven classes here, nEMO three
    assert list(sums.values()) == pytest.approx([sum(sums.values()) / 10] * 10)
    assert clip_weights(chosen, 0.0).tolist() == pytest.approx([1.0] * len(chosen))
