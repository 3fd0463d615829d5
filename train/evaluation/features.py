"""Where the clips' audio and visual features lie, stage by stage, in two dimensions (t-SNE).

The paper's figure 6 shows the same: the features of a class gather as text guides the encoders
(SEM) and as sound and face meet (MBT).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from train.batches import Loader
from train.evaluation.subject import RunSubject
from train.prepare import ReadySample
from train.progress import Progress

STAGES = ("before", "sem", "mbt")
MOST_CLIPS = 1000
"""t-SNE's time grows faster than its points, and more of them hide each other."""
LEAST_CLIPS = 8
PERPLEXITY = 30.0


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """One modality's clips at one stage."""

    modality: str
    """``audio`` or ``visual``"""
    stage: str
    """``before`` the SEMs, after the ``sem``, after the cross-modal encoder (``mbt``)"""
    points: NDArray[np.float64]
    """shape = (clips, 2)"""
    targets: NDArray[np.bool_]
    """shape = (clips, labels)"""


def map_features(
    subject: RunSubject, ready: Sequence[ReadySample], progress: Progress, seed: int = 0
) -> list[FeatureMap]:
    """t-SNE of each stage the variant has, a point a clip: the mean over its segments.

    Of more than ``MOST_CLIPS`` clips so many are drawn. A modality that fewer than
    ``LEAST_CLIPS`` clips have is left out.
    """
    rng = np.random.default_rng(seed)
    if len(ready) > MOST_CLIPS:
        chosen = np.sort(rng.choice(len(ready), MOST_CLIPS, replace=False))
        ready = [ready[i] for i in chosen]
    features, targets = clip_features(subject, ready)
    maps = []
    for done, (name, (values, present)) in enumerate(features.items(), start=1):
        if present.sum() >= LEAST_CLIPS:
            modality, stage = name.split("_", 1)
            maps.append(
                FeatureMap(modality, stage, _embed(values[present], seed), targets[present])
            )
        progress.step("t-SNE", done, len(features), name)
    return maps


def clip_features(
    subject: RunSubject, ready: Sequence[ReadySample]
) -> tuple[dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]], NDArray[np.bool_]]:
    """Mean over the present segments of each clip's features, and the truth (clips, labels).

    Returns:
        By name, such as ``audio_sem``: features (clips, size), and which clips have any.
    """
    clips = subject.labelled(ready)
    found: dict[str, list[NDArray[np.float64]]] = {}
    present: dict[str, list[NDArray[np.bool_]]] = {}
    device = subject.options.device
    for step in Loader(clips, subject.options.batch_size).in_order():
        for part in step.parts:
            batch = part.inputs.to(device)
            masks = {"audio": batch.audio_mask, "visual": batch.visual_mask}
            for name, tensor in subject.model.features(batch).items():
                mask = masks[name.split("_", 1)[0]]
                found.setdefault(name, []).append(_mean(tensor, mask))
                present.setdefault(name, []).append(mask.any(dim=1).cpu().numpy())
    targets = np.stack([clip.targets for clip in clips])
    return {
        name: (np.concatenate(found[name]), np.concatenate(present[name])) for name in found
    }, targets


def _mean(features: torch.Tensor, mask: torch.Tensor) -> NDArray[np.float64]:
    """Over the segments (B, N, size) that are there (B, N); zeros where none is."""
    kept = torch.where(mask[..., None], features.double(), 0.0).sum(dim=1)
    mean: NDArray[np.float64] = (kept / mask.sum(dim=1, keepdim=True).clamp(min=1)).cpu().numpy()
    return mean


def _embed(features: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    # Standardised, for stages differ in scale by orders of magnitude; dead units stay 0.
    spread = features.std(axis=0)
    scaled = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1)
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    # Its threads meet after every small step: where processors are shared they mostly wait.
    with threadpool_limits(1):
        points: NDArray[np.float64] = TSNE(
            perplexity=perplexity, init="pca", random_state=seed
        ).fit_transform(scaled)
    return points
