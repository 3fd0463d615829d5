"""Epochs: train, validate, keep the best, stop early."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from mer_edge.errors import MerEdgeError
from mer_edge.model.mer import MerModel, ModelBatch
from train.batches import LabelledClip, training_batches, validation_batches
from train.metrics import decide, score
from train.options import TrainOptions
from train.progress import Progress
from train.thresholds import tune_thresholds


@dataclass(frozen=True)
class EpochRecord:
    """One epoch; an entry of ``history.json``."""

    epoch: int
    """From 1."""
    train_loss: float
    """Mean over the clips, while the weights change."""
    valid_loss: float
    valid_f1: float
    """Average F1 of the validation split at thresholds tuned on it: what selects the model."""
    valid_accuracy: float
    valid_weighted_accuracy: float
    clips_per_s: float
    """Training clips per second, reading and decoding included."""
    best: bool
    """Better than every epoch before it."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """What the model says of a split, and the truth."""

    loss: float
    """Mean over the clips."""
    probabilities: NDArray[np.float64]
    """shape = (clips, labels)"""
    targets: NDArray[np.bool_]
    """shape = (clips, labels)"""


Keep = Callable[[Sequence[EpochRecord], Predictions, list[float]], None]
"""Called when the model is the best so far: history, validation split, tuned thresholds."""


def fit(
    model: MerModel,
    optimizer: torch.optim.Optimizer,
    train_clips: Sequence[LabelledClip],
    valid_clips: Sequence[LabelledClip],
    options: TrainOptions,
    progress: Progress,
    keep: Keep,
) -> list[EpochRecord]:
    """Train until ``epochs`` are over or ``patience_epochs`` in a row bring nothing better.

    Better is a higher average F1 on the validation split; of equals, the lower loss. ``keep``
    has seen every best model; the model is left as the last epoch made it.

    Raises:
        MerEdgeError: a loss is NaN or infinite.
    """
    targets = np.stack([clip.targets for clip in train_clips])
    pos_weight = positive_weights(targets, model.config.labels).to(options.device)
    rng = np.random.default_rng(options.seed)
    per_epoch = -(-len(train_clips) // options.batch_size)
    schedule = make_schedule(optimizer, options, per_epoch)
    history: list[EpochRecord] = []
    best = (-math.inf, -math.inf)
    best_epoch = 0
    for epoch in range(1, options.epochs + 1):
        batches = training_batches(train_clips, options.batch_size, options.modality_dropout, rng)
        meter = _Meter(progress, epoch, per_epoch, options.epochs, best[0])
        model.train()
        for batch, truth in batches:
            batch, truth = batch.to(options.device), truth.to(options.device)
            loss = _step(model, optimizer, batch, truth, pos_weight, options.modality_loss_weight)
            _check_loss(loss, f"in epoch {epoch}, batch {meter.batches + 1}", options, best_epoch)
            schedule.step()
            meter.add(loss, len(truth))
        valid = predict(model, valid_clips, options, pos_weight)
        _check_loss(valid.loss, f"on the validation split in epoch {epoch}", options, best_epoch)
        thresholds = tune_thresholds(valid.probabilities, valid.targets)
        record = _record(epoch, meter, valid, thresholds, model.config.labels, best)
        history.append(record)
        if record.best:
            best, best_epoch = (record.valid_f1, -record.valid_loss), epoch
            keep(history, valid, thresholds)
        elif epoch - best_epoch >= options.patience_epochs:
            break
    return history


def make_schedule(
    optimizer: torch.optim.Optimizer, options: TrainOptions, batches_per_epoch: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """What each batch's learning rates are multiplied by: 1, or falling from 1 towards 0."""
    total = options.epochs * batches_per_epoch

    def factor(batch: int) -> float:
        return 1 - batch / total if options.linear_decay else 1.0

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def predict(
    model: MerModel,
    clips: Sequence[LabelledClip],
    options: TrainOptions,
    pos_weight: torch.Tensor | None = None,
) -> Predictions:
    """Probabilities of every clip in evaluation mode, the middle frame of each segment.

    ``pos_weight`` weighs the positives in the loss, as in training; None: all alike.
    """
    model.eval()
    logits: list[torch.Tensor] = []
    truths: list[torch.Tensor] = []
    with torch.inference_mode():
        for batch, truth in validation_batches(clips, options.batch_size):
            logits.append(model(batch.to(options.device)).logits)
            truths.append(truth)
    logit, target = torch.cat(logits), torch.cat(truths).to(options.device)
    return Predictions(
        loss=float(F.binary_cross_entropy_with_logits(logit, target, pos_weight=pos_weight)),
        probabilities=logit.double().sigmoid().cpu().numpy(),
        targets=target.bool().cpu().numpy(),
    )


def positive_weights(targets: NDArray[np.bool_], labels: Iterable[str]) -> torch.Tensor:
    """Negatives / positives of each label, from the truth (clips, labels); shape = (labels,).

    Raises:
        MerEdgeError: a label is on no clip, or on all of them.
    """
    positives = targets.sum(axis=0)
    for label, count in zip(labels, positives.tolist(), strict=True):
        if count in (0, len(targets)):
            raise MerEdgeError(
                f"the label '{label}' is on {count} of {len(targets)} training clips; expected "
                "some with it and some without; add clips to the split 'train' or drop the label"
            )
    return torch.from_numpy((len(targets) - positives) / positives).float()


def _step(
    model: MerModel,
    optimizer: torch.optim.Optimizer,
    batch: ModelBatch,
    truth: torch.Tensor,
    pos_weight: torch.Tensor,
    modality_loss_weight: float,
) -> float:
    """One optimiser step; returns the loss before it. A loss that is not finite changes nothing."""
    optimizer.zero_grad(set_to_none=True)
    fused = model(batch)
    loss = F.binary_cross_entropy_with_logits(fused.logits, truth, pos_weight=pos_weight)
    if modality_loss_weight:
        loss = loss + modality_loss_weight * modality_loss(
            fused.decisions, batch, truth, pos_weight
        )
    if torch.isfinite(loss):
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return float(loss.detach())


def modality_loss(
    decisions: torch.Tensor, batch: ModelBatch, truth: torch.Tensor, pos_weight: torch.Tensor
) -> torch.Tensor:
    """Mean loss of the decisions (B, 3, labels) of the modalities that are there; 0 if none is."""
    present = torch.stack(
        [batch.audio_mask.any(1), batch.visual_mask.any(1), batch.text_mask], dim=1
    )
    if not present.any():
        return decisions.new_zeros(())
    targets = truth[:, None].expand_as(decisions)
    return F.binary_cross_entropy_with_logits(
        decisions[present], targets[present], pos_weight=pos_weight
    )


def _check_loss(loss: float, where: str, options: TrainOptions, best_epoch: int) -> None:
    if not math.isfinite(loss):
        kept = f"the model of epoch {best_epoch} is kept" if best_epoch else "no model was kept"
        raise MerEdgeError(
            f"the loss became {loss} {where}; expected a number; {kept}; "
            f"train again with a lower --lr than {options.learning_rate:g}"
        )


class _Meter:
    """Adds up an epoch's loss and speed and shows them as it goes."""

    def __init__(
        self, progress: Progress, epoch: int, per_epoch: int, epochs: int, best_f1: float
    ) -> None:
        self.progress, self.epoch = progress, epoch
        self.per_epoch, self.total = per_epoch, per_epoch * epochs
        self.best_f1 = f"best F1 {best_f1:.3f}, " if epoch > 1 else ""
        self.started = time.perf_counter()
        self.batches, self.clips, self.loss_sum = 0, 0, 0.0

    def add(self, loss: float, clips: int) -> None:
        self.batches += 1
        self.clips += clips
        self.loss_sum += loss * clips
        detail = (
            f"epoch {self.epoch}, loss {self.loss:.3f}, {self.best_f1}{self.speed:.0f} samples/s"
        )
        self.progress.step(
            "train", (self.epoch - 1) * self.per_epoch + self.batches, self.total, detail
        )

    @property
    def loss(self) -> float:
        return self.loss_sum / self.clips

    @property
    def speed(self) -> float:
        return self.clips / (time.perf_counter() - self.started)


def _record(
    epoch: int,
    meter: _Meter,
    valid: Predictions,
    thresholds: list[float],
    labels: tuple[str, ...],
    best: tuple[float, float],
) -> EpochRecord:
    scores = score(decide(valid.probabilities, thresholds), valid.targets, labels)
    return EpochRecord(
        epoch=epoch,
        train_loss=meter.loss,
        valid_loss=valid.loss,
        valid_f1=scores.f1,
        valid_accuracy=scores.accuracy,
        valid_weighted_accuracy=scores.weighted_accuracy,
        clips_per_s=meter.speed,
        best=(scores.f1, -valid.loss) > best,
    )
