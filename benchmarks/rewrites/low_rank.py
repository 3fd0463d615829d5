"""VGGish's first fully connected layer as two thin ones, on weights and sounds that are real.

Truncated singular values, of the matrix itself and of its products on real features (the best
matrix of a rank in the sense of least squares: what fine-tuning that layer alone comes to). Fitted
on the sounds of one part of the speakers, judged on the others.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.io import wavfile

from mer_edge.model.checkpoint import load_checkpoint
from mer_edge.model.sem import TextGuide
from mer_edge.model.vggish import AudioEncoder
from mer_edge.segments import SEGMENT_SAMPLES

RANKS = (8, 16, 32, 64, 96)


def measure(run: Path, manifest: Path) -> dict[str, Any]:
    """``run``: of the variant ``audio``; ``manifest``: a data set's, of folders with sound.wav."""
    encoder = load_checkpoint(run).model.vggish
    assert encoder is not None
    segments = {
        part: _segments(manifest, split) for part, split in (("fit", "train"), ("test", "test"))
    }
    flat = {part: _flat(encoder, x) for part, x in segments.items()}
    layer = encoder.backbone.embeddings[0]
    weight, bias = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
    outputs, inputs = weight.shape
    expected = flat["test"] @ weight.T + bias
    truncated, fitted = _truncated(weight), _fitted(weight, flat["fit"])
    rows = []
    for rank in (r for r in RANKS if r < outputs):
        for name, (left, right) in (("truncated", truncated), ("fitted", fitted)):
            found = (flat["test"] @ right[:rank].T) @ left[:, :rank].T + bias
            rows.append(
                {
                    "rank": rank,
                    "how": name,
                    "weights": rank * (inputs + outputs),
                    "relative_error": _relative(np.maximum(found, 0), np.maximum(expected, 0)),
                }
            )
    counts = {part: len(x) for part, x in segments.items()}
    return {
        "layer": [inputs, outputs],
        "weights": inputs * outputs,
        "segments": counts,
        "rows": rows,
    }


def _segments(manifest: Path, split: str) -> NDArray[np.float32]:
    lines = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    media = [manifest.parent / line["media"] for line in lines if line["split"] == split]
    found = []
    for folder in media:
        _, samples = wavfile.read(folder / "sound.wav")
        wave = samples.astype(np.float32) / 32768
        count = len(wave) // SEGMENT_SAMPLES
        found.append(wave[: count * SEGMENT_SAMPLES].reshape(count, SEGMENT_SAMPLES))
    return np.concatenate(found)


def _flat(encoder: AudioEncoder, waveform: NDArray[np.float32]) -> NDArray[np.float64]:
    """What goes into the layer; shape = (segments, inputs)."""
    with torch.inference_mode():
        log_mel = encoder.logmel(torch.from_numpy(waveform))
        last = encoder.feature_maps(log_mel, TextGuide(None))[-1]
    flat: NDArray[np.float64] = last.permute(0, 2, 3, 1).flatten(1).double().numpy()
    return flat


def _truncated(weight: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    left, values, right = np.linalg.svd(weight, full_matrices=False)
    return left * values, right


def _fitted(
    weight: NDArray[np.float64], features: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The main directions of the outputs on ``features``, and the weight projected on them."""
    _, _, directions = np.linalg.svd(features @ weight.T, full_matrices=False)
    return directions.T, directions @ weight


def _relative(found: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
