"""The corpora of speech in small: the same layout, beeps instead of voices."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from mer_edge.segments import SAMPLE_RATE_HZ

EMOTIONS = ("01", "02", "03", "04", "05", "06", "07", "08")
RAVDESS_ACTORS = (1, 2, 3, 4, 9, 10, 11, 12)
NEMO_SPEAKERS = ("AA0", "BB0", "CC0", "DD0")
NEMO_LABELS = ("anger", "happiness", "neutral")


def tone(emotion: int, speaker: int, seconds: float = 1.3) -> NDArray[np.float32]:
    """A trembling tone, higher for a higher emotion, between two silences."""
    time_s = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    pitch_hz = 200 * 1.35**emotion * (1 + 0.01 * speaker)
    sound = 0.05 * np.sin(2 * np.pi * pitch_hz * time_s) * (1 + np.sin(2 * np.pi * 3 * time_s))
    silence = np.zeros(SAMPLE_RATE_HZ // 4)
    return np.concatenate([silence, sound, silence]).astype(np.float32)


def write_flac(path: Path, sound: NDArray[np.float32]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE_HZ, layout="mono")
        samples = np.round(sound * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        container.mux([*stream.encode(frame), *stream.encode(None)])


def write_listed(folder: Path, rows: list[tuple[str, str, str]]) -> None:
    """``meta.tsv`` and its sounds; a row is a file, a label and a speaker."""
    for number, (file, _, _) in enumerate(rows):
        write_flac(folder / "flac" / file, tone(number % 7, number // 7))
    lines = ["file\tlabel\tspeaker\tseconds", *("\t".join((*row, "1.8")) for row in rows)]
    (folder / "meta.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("corpora")
    for actor in RAVDESS_ACTORS:
        for emotion in EMOTIONS:
            name = f"03-01-{emotion}-01-01-01-{actor:02d}.flac"
            write_flac(data / "ravdess_audio" / name, tone(int(emotion), actor))
    rows = [(f"{s}_{e}_1.flac", e, s) for s in NEMO_SPEAKERS for e in NEMO_LABELS]
    write_listed(data / "nemo", rows)
    labels = ("anger", "boredom", "fear")
    write_listed(data / "emodb", [(f"{s}a01{e}.flac", e, s) for s in ("03", "08") for e in labels])
    return data
