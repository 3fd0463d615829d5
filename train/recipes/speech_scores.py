"""How well speech is recognised: clips as the product cuts them, decisions, figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.metrics import confusion_matrix
from torch import nn

from mer_edge.model.logmel import LogMel
from mer_edge.model.vggish import Vggish
from train.recipes.corpora import LABELS, Recording
from train.recipes.speech_sounds import clip_segments, read_sound, voiced
from train.recipes.temperature import calibration_error


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
