"""The cut, the baselines and the page of the real signals, on made-up sound and figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.real_signals.baselines import fitted, on_ravdess
from benchmarks.real_signals.data import read_sound, spoken, write_voices, write_wav
from benchmarks.real_signals.report import folds, students
from benchmarks.real_signals.tables import distillation_table, singles_table

RATE_HZ = 16_000
RNG = np.random.default_rng(0)


def tone(frequency_hz: float, seconds: float) -> np.ndarray:
    return np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ).astype(
        np.float32
    )


def test_the_cut_keeps_what_is_loud_and_its_length() -> None:
    silence = np.zeros(RATE_HZ, np.float32)
    cut = spoken(np.concatenate([silence, tone(440, 1.92), silence]))
    assert len(cut) == 2 * 15_360
    assert np.abs(cut).mean() == pytest.approx(2 / np.pi, abs=0.01)
    short = spoken(tone(440, 0.5))
    assert len(short) == 2 * 15_360
    assert not short[8_000:].any()


def test_voices_keep_their_names(tmp_path: Path) -> None:
    import av

    name = "03-01-05-01-02-01-07"
    with av.open(str(tmp_path / f"{name}.flac"), "w") as file:
        stream = file.add_stream("flac", rate=RATE_HZ, layout="mono")
        samples = (tone(440, 3.0) * 20_000).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
        frame.sample_rate = RATE_HZ
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)
    write_voices(tmp_path / "voices", tmp_path)
    (written,) = (tmp_path / "voices").iterdir()
    assert written.name == f"{name}.wav"
    assert len(read_sound(written)) == 2 * 15_360


def test_the_baseline_tells_tones_apart_in_every_fold(tmp_path: Path) -> None:
    """Two emotions that are two tones: found by all; of the same tone: by chance."""
    files = []
    for actor in range(1, 11):
        for emotion, frequency_hz in ((1, 300), (5, 2500)):
            file = tmp_path / f"03-01-{emotion:02d}-01-01-01-{actor:02d}.wav"
            sound = 0.5 * tone(frequency_hz, 1.92) + RNG.normal(0, 0.01, 30_720).astype(np.float32)
            write_wav(file, sound)
            files.append(file)
    assert on_ravdess(files) == {"uar": 1.0, "folds": [1.0] * 5}


def test_recall_is_the_mean_over_the_classes() -> None:
    x = np.array([[0.0], [0.0], [1.0], [1.0]] * 50)
    y = np.array([0, 0, 1, 1] * 50)
    found = fitted(x, y, np.array([[0.0], [0.0], [0.0], [1.0], [0.0]]), np.array([0, 0, 0, 1, 1]))
    assert found == {"accuracy": 0.8, "uar": 0.75}


def ablation(values: dict[int, float], parameters: int) -> dict[str, object]:
    runs = [
        {
            "cell": "mer-mbt",
            "seed": seed,
            "figures": {"f1": f1, "unweighted_average_recall": f1 + 0.1},
            "parameters": parameters,
        }
        for seed, f1 in values.items()
    ]
    return {"runs": runs, "options": {"epochs": 12}}


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_distillation_compares_the_seeds_that_both_have(tmp_path: Path) -> None:
    grid = tmp_path / "grid"
    assert students(tmp_path) is None
    write(grid / "student/ablation.json", ablation({0: 0.3, 1: 0.4, 2: 0.9}, 1_000))
    write(grid / "distilled/ablation.json", ablation({0: 0.5, 1: 0.55}, 1_000))
    write(grid / "variants/ablation.json", ablation({1: 0.6, 2: 0.8}, 2_000_000))
    write(grid / "variants/mer-mbt/seed-2/report.json", {"valid": {"tuned": {"f1": 0.7}}})
    found = students(tmp_path)
    assert found is not None
    lines = distillation_table(found)
    assert "seeds 0, 1, test" in lines[0]
    assert "(0.700)" in lines[0]
    assert lines[-3] == "| teacher | 0.800 | | 0.900 | | 2,000,000 |"
    assert lines[-2].startswith("| student alone | 0.350 ± 0.071 | 0.300, 0.400 |")
    # Differences 0.2 and 0.15: t = 7 with one degree of freedom.
    assert lines[-1].startswith("| student with teacher | 0.525 ± 0.035 | 0.500, 0.550 |")
    assert "| 0.090 | 1,000 |" in lines[-1]


def test_only_the_folds_that_have_been_evaluated_are_compared(tmp_path: Path) -> None:
    for fold, recall in ((1, 0.6), (3, 0.5)):
        classes = {"classes": {"unweighted_average_recall": recall}}
        write(tmp_path / f"fold-{fold}.json", {"subjects": [classes]})
    cells = [
        {"name": name, "figures": {"unweighted_average_recall": {"mean": 0.5}}}
        for name in ("audio", "visual", "text")
    ]
    lines = singles_table(
        {
            "variants": {"cells": cells},
            "baselines": {
                "triples": {name: {"uar": 0.4} for name in ("audio", "visual", "text")},
                "ravdess_cut": {"folds": [0.3, 0.9, 0.4, 0.9, 0.9]},
                "ravdess_whole": {"folds": [0.2, 0.9, 0.25, 0.9, 0.9]},
            },
            "faces": None,
            "text": None,
            "ravdess": folds(tmp_path),
            "spoken_s": 1.92,
        }
    )
    assert "| RAVDESS, actor-disjoint folds 1, 3 of 5: UAR, 8 classes | 0.350 | 0.550 |" in lines
    assert "0.600, 0.500 against 0.300, 0.400" in lines[-1]
    assert lines[-1].endswith("on whole recordings 0.200, 0.250.")
