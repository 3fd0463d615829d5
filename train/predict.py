"""What a model says of prepared clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from numpy.typing import NDArray

from mer_edge.decision import probabilities_of
from mer_edge.model.mer import MerModel
from train.batches import Loader, Share
from train.collate import LabelledClip
from train.losses import label_loss
from train.options import TrainOptions


@dataclass(frozen=True, eq=False)
class Predictions:
    """What the model says of a split, and the truth."""

    loss: float
    """Mean over the clips."""
    probabilities: NDArray[np.float64]
    """shape = (clips, labels), before any calibration"""
    targets: NDArray[np.bool_]
    """shape = (clips, labels)"""
    weights: NDArray[np.float64] | None = None
    """shape = (clips, 3): how much audio, visual and text counted in each decision"""
    logits: NDArray[np.float64] | None = None
    """shape = (clips, labels)"""


def predict(
    model: MerModel,
    clips: Sequence[LabelledClip],
    options: TrainOptions,
    label_weight: torch.Tensor | None = None,
    accelerator: Accelerator | None = None,
) -> Predictions:
    """Probabilities of every clip in evaluation mode and fp32, the middle frame of each segment.

    Args:
        label_weight: weighs the labels in the loss, as in training; None: all alike.
        accelerator: of a run whose processes share the work; None: this one does it all.
    """
    model.eval()
    device = next(model.parameters()).device
    share = Share()
    if accelerator is not None:
        share = Share(accelerator.process_index, accelerator.num_processes)
    found: list[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]] = []
    with torch.inference_mode():
        for step in Loader(clips, options.batch_size, share, options.loaders).in_order():
            for indices, batch in zip(step.indices, step.parts, strict=True):
                if batch.weights.any():
                    fused = model(batch.to(str(device)).inputs)
                    found.append((indices, _numpy(fused.logits), _numpy(fused.weights)))
    if share.processes > 1:
        found = gather_object(found)
    logits = np.zeros((len(clips), len(model.config.labels)))
    weights = np.zeros((len(clips), 3))
    for indices, of_logits, of_weights in found:
        logits[indices], weights[indices] = of_logits, of_weights
    targets = np.stack([clip.targets for clip in clips])
    task = model.config.task
    loss = label_loss(
        torch.from_numpy(logits),
        torch.from_numpy(targets).double(),
        task,
        None if label_weight is None else label_weight.double().cpu(),
    ).mean()
    return Predictions(float(loss), probabilities_of(logits, task), targets, weights, logits)


def _numpy(tensor: torch.Tensor) -> NDArray[np.float64]:
    array: NDArray[np.float64] = tensor.double().cpu().numpy()
    return array
