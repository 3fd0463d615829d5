"""How well speech is recognised: clips as the product cuts them, decisions, figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.metrics import confusion_matrix
from torch import nn

from mer_edge.model.logmel import LogMel
from mer_edge.model.vggish import Vggish
from train.recipes.corpora import LABELS, Recording
from train.recipes.speech_sounds import clip_segments, read_sound, voiced


@torch.inference_mode()
def clip_logits(
    encoder: Vggish,
    head: nn.Linear,
    recordings: Sequence[Recording],
    level_dbfs: float | None,
    *,
    voiced_only: bool = True,
) -> NDArray[np.float64]:
    """Logits of each whole clip, (clips, 7): the head on the mean of its voiced segments."""
    logmel = LogMel(level_dbfs)
    rows = []
    for recording in recordings:
        segments = clip_segments(read_sound(recording.path))
        if voiced_only:
            segments = segments[voiced(segments)]
        rows.append(head(embed(encoder, logmel, segments).mean(0)).double().numpy())
    return np.stack(rows)


def embed(encoder: Vggish, logmel: LogMel, segments: NDArray[np.float32]) -> torch.Tensor:
    """(S, 15600) -> (S, embedding_size)."""
    return encoder.embed(encoder.features(logmel(torch.from_numpy(segments)).unsqueeze(1)))


def fit_temperature(recordings: Sequence[Recording], logits: NDArray[np.float64]) -> float:
    """The T of softmax(logits / T) with the least cross-entropy, 0.2 to 5."""
    truth = [LABELS.index(recording.label) for recording in recordings]
    rows = np.arange(len(truth))

    def loss(log_t: float) -> float:
        return float(-log_softmax(logits / np.exp(log_t), axis=1)[rows, truth].mean())

    found = minimize_scalar(loss, bounds=(np.log(0.2), np.log(5.0)), method="bounded")
    return float(np.exp(found.x))


def score(
    recordings: Sequence[Recording], logits: NDArray[np.float64], temperature: float
) -> dict[str, Any]:
    """Accuracy, UAR over the classes that occur, recall by class, calibration error, by sex.

    Nothing is forbidden to the network: it may answer with a class that does not occur.
    """
    truth = np.array([LABELS.index(recording.label) for recording in recordings])
    said = logits.argmax(1)
    found: dict[str, Any] = {
        "clips": len(truth),
        "accuracy": float((said == truth).mean()),
        "uar": uar(truth, said),
        "recall": {LABELS[c]: float((said[truth == c] == c).mean()) for c in np.unique(truth)},
        "calibration_error": calibration_error(truth, softmax(logits / temperature, axis=1)),
        "confusion": confusion_matrix(truth, said, labels=range(len(LABELS))).tolist(),
    }
    for sex in ("female", "male"):
        members = np.array([recording.sex == sex for recording in recordings])
        if members.any():
            found[f"uar_{sex}"] = uar(truth[members], said[members])
    return found


def uar(truth: NDArray[np.int64], said: NDArray[np.int64]) -> float:
    """Unweighted average recall over the classes of ``truth``."""
    return float(np.mean([(said[truth == c] == c).mean() for c in np.unique(truth)]))


def calibration_error(
    truth: NDArray[np.int64], probabilities: NDArray[np.float64], bins: int = 10
) -> float:
    """Expected calibration error: |confidence - accuracy| over bins of equal width."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == truth
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(confidence[bin_of == b].mean() - right[bin_of == b].mean()) * (bin_of == b).mean()
        for b in np.unique(bin_of)
    ]
    return float(np.sum(gaps))
