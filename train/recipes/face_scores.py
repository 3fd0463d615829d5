"""How well faces are recognised: FER+'s test pictures, and takes of a real actor."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.metrics import confusion_matrix
from torch import Tensor

from mer_edge.errors import MerEdgeError
from mer_edge.segments import FACE_SIZE_PX
from train.progress import Progress
from train.recipes.corpora import LABELS, RAVDESS_LABELS
from train.recipes.face_framing import framed, plain
from train.recipes.ferplus import LabelledFaces, read_ferplus
from train.recipes.temperature import calibration_error, fit_temperature

Decide = Callable[[Tensor], Tensor]
"""Faces (B, 224, 224, 3) uint8 -> logits (B, 7)."""

TAKES_SCALE = 0.65
"""The takes' faces have the eyes 0.38 of the width apart: so much smaller they are 0.25."""
_BATCH = 64


def measure(decide: Decide, held: LabelledFaces, data: Path, progress: Progress) -> dict[str, Any]:
    """The temperature from the held-out faces, then the figures of every test set, once."""
    logits = logits_of(decide, (framed(p, FACE_SIZE_PX, "border") for p in held.pictures))
    temperature = fit_temperature(logits, held.classes)
    figures = {"held_out, framed": score(logits, held.classes, temperature)}
    test = read_ferplus(data, "valid")
    size = FACE_SIZE_PX
    for name, faces in (
        ("framed, border drawn out", (framed(p, size, "border") for p in test.pictures)),
        ("framed, on black", (framed(p, size, "black") for p in test.pictures)),
        ("plain", (plain(p, size) for p in test.pictures)),
    ):
        logits = logits_of(decide, faces)
        figures[f"ferplus valid.zip, {name}"] = score(logits, test.classes, temperature)
        progress.note(f"{name}: {figures[f'ferplus valid.zip, {name}']['accuracy']:.3f}")
    takes = data / "ravdess_av_actor01" / "faces"
    if takes.is_dir():
        figures |= _takes(decide, takes, temperature)
    return {"temperature": temperature, "figures": figures}


@torch.no_grad()
def logits_of(decide: Decide, faces: Iterable[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Of faces (224, 224, 3): (N, 7)."""
    rows, batch = [], []
    for face in faces:
        batch.append(face)
        if len(batch) == _BATCH:
            rows.append(decide(torch.from_numpy(np.stack(batch))).double().numpy())
            batch = []
    if batch:
        rows.append(decide(torch.from_numpy(np.stack(batch))).double().numpy())
    return np.concatenate(rows)


def score(
    logits: NDArray[np.float64], classes: NDArray[np.int64], temperature: float
) -> dict[str, Any]:
    """Accuracy, UAR over the classes that occur, recall by class, calibration error in 15 bins."""
    said = logits.argmax(1)
    recalls = {int(c): float((said[classes == c] == c).mean()) for c in np.unique(classes)}
    probabilities = softmax(logits / temperature, axis=1)
    return {
        "count": len(classes),
        "accuracy": float((said == classes).mean()),
        "uar": float(np.mean(list(recalls.values()))),
        "recall": {LABELS[c]: recall for c, recall in recalls.items()},
        "calibration_error": calibration_error(classes, probabilities),
        "confusion": confusion_matrix(classes, said, labels=range(len(LABELS))).tolist(),
    }


def _takes(decide: Decide, folder: Path, temperature: float) -> dict[str, Any]:
    """Takes of RAVDESS's actor 1, each a strip of faces: the mean of the frames' probabilities.

    Once as they are and once smaller, the eyes as far apart as in this project's crops.
    """
    found: dict[str, list[NDArray[np.float64]]] = {"as they are": [], "framed": []}
    classes = []
    for path in sorted(folder.glob("*.jpg")):
        label = RAVDESS_LABELS.get(path.stem.split("-")[2])
        if label is None:
            continue
        classes.append(LABELS.index(label))
        frames = take_frames(path)
        for name, view in (("as they are", _grey), ("framed", take_face)):
            logits = logits_of(decide, (view(frame) for frame in frames))
            mean = softmax(logits / temperature, axis=1).mean(axis=0)
            found[name].append(temperature * np.log(mean))
    return {
        f"ravdess actor 1, {name}": score(np.stack(logits), np.array(classes), temperature)
        for name, logits in found.items()
        if logits
    }


def take_frames(path: Path) -> NDArray[np.uint8]:
    """The crops of a take's strip, (frames, 224, 224), grey.

    Raises:
        MerEdgeError: it is none.
    """
    strip = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if strip is None or strip.size % FACE_SIZE_PX**2:
        raise MerEdgeError(f"{path}: no strip of faces of {FACE_SIZE_PX} px")
    return np.asarray(strip.reshape(-1, FACE_SIZE_PX, FACE_SIZE_PX), np.uint8)


def _grey(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(frame[..., None], 3, axis=2)


def take_face(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The face smaller and its eyes at 40 % of the height; they are at 30 % of the takes' crops."""
    middle, eyes = (FACE_SIZE_PX - 1) / 2, 0.30 * FACE_SIZE_PX
    matrix = np.array(
        [
            [TAKES_SCALE, 0.0, middle * (1 - TAKES_SCALE)],
            [0.0, TAKES_SCALE, 0.40 * FACE_SIZE_PX - TAKES_SCALE * eyes],
        ]
    )
    size = (FACE_SIZE_PX, FACE_SIZE_PX)
    return _grey(cv2.warpAffine(frame, matrix, size, borderMode=cv2.BORDER_REPLICATE))
