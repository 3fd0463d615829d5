"""Epochs: train, validate, keep the best, stop early; go on where a run was interrupted."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from accelerate import Accelerator

from mer_edge.decision import DecisionRule
from mer_edge.errors import MerEdgeError
from train.batches import Drawing, Loader, Share, Step
from train.collate import LabelledClip
from train.distributed import add_up, any_process, share_batch_norm
from train.learner import Learner
from train.metrics import score, score_classes
from train.optimizer import set_learning_rates
from train.options import TrainOptions
from train.predict import Predictions, predict
from train.progress import Progress
from train.state import EpochRecord, Standing
from train.stopping import StopRequest
from train.thresholds import tune_rule


class Keeper(Protocol):
    """Where a run's models and figures go."""

    def best(self, standing: Standing, valid: Predictions, rule: DecisionRule) -> None:
        """The model is the best so far."""

    def state(self, standing: Standing) -> None:
        """The run could go on from here."""

    def figures(self, step: int, values: dict[str, float]) -> None:
        """What is worth a point in a curve."""


@dataclass
class Training:
    """Everything that takes part in a run; all of it on the accelerator's device."""

    learner: Learner
    optimizer: torch.optim.Optimizer
    accelerator: Accelerator
    options: TrainOptions
    progress: Progress
    keeper: Keeper
    stop: StopRequest


def fit(
    training: Training,
    train_clips: Sequence[LabelledClip],
    valid_clips: Sequence[LabelledClip],
    standing: Standing,
) -> bool:
    """Train until ``epochs`` are over or ``patience_epochs`` in a row bring nothing better.

    Better is a higher average F1 on the validation split (of exclusive labels the macro-F1 of the
    most probable one); of equals, the lower loss. The keeper
    has seen every best model, and a state after every epoch; the model is left as the last epoch
    made it. ``standing`` is brought up to date.

    Returns:
        False if the run was asked to stop before its end; its state is then kept.

    Raises:
        MerEdgeError: a loss is NaN or infinite.
    """
    return _Fit(training, train_clips, valid_clips, standing).run()


class _Fit:
    """One call of :func:`fit`."""

    def __init__(
        self,
        training: Training,
        train_clips: Sequence[LabelledClip],
        valid_clips: Sequence[LabelledClip],
        standing: Standing,
    ) -> None:
        self.of, self.options, self.standing = training, training.options, standing
        accelerator = training.accelerator
        if accelerator.num_processes > 1:
            share_batch_norm(training.learner)
            training.learner.shares_faces = training.learner.model.resnet is not None
        self.module = accelerator.prepare_model(training.learner)
        self.optimizer = accelerator.prepare_optimizer(training.optimizer)
        self.valid_clips = valid_clips
        options = self.options
        share = Share(accelerator.process_index, accelerator.num_processes, options.accumulation)
        self.loader = Loader(
            train_clips, options.batch_size, share, options.loaders, pin=options.device == "cuda"
        )
        self.started = time.perf_counter()

    def run(self) -> bool:
        standing, options = self.standing, self.options
        while standing.epoch <= options.epochs and not self._patience_is_over():
            if not self._train_epoch():
                self.of.keeper.state(standing)
                return False
            self._finish_epoch()
        return True

    def _patience_is_over(self) -> bool:
        standing = self.standing
        return bool(standing.best_epoch) and (
            standing.epoch - 1 - standing.best_epoch >= self.options.patience_epochs
        )

    def _train_epoch(self) -> bool:
        """The rest of the epoch in work; False if the run was asked to stop."""
        standing, options = self.standing, self.options
        self.of.learner.train()
        meter = _Meter(self.of.progress, standing, self.loader, options.epochs)
        drawing = Drawing(
            options.seed,
            standing.epoch,
            options.augment,
            options.modality_dropout,
            self.of.learner.model.config.modalities,
        )
        for step in self.loader.training(drawing, standing.step):
            set_learning_rates(
                self.optimizer, options, standing.steps_total, options.epochs * self.loader.steps
            )
            loss = self._step(step)
            self._check_loss(loss, f"in epoch {standing.epoch}, step {standing.step + 1}")
            standing.loss_sum += loss * step.clips
            standing.clips += step.clips
            standing.step += 1
            standing.steps_total += 1
            meter.show(step.clips)
            if any_process(self.of.stop.signal is not None, self.of.accelerator):
                self._spend_time()
                return False
        self.speed, self.waiting = meter.speed, meter.waiting
        return True

    def _step(self, step: Step) -> float:
        """One optimiser step; returns the mean loss before it. One not finite changes nothing."""
        accelerator, options = self.of.accelerator, self.options
        seed = np.random.SeedSequence(
            (options.seed, self.standing.steps_total, accelerator.process_index)
        )
        torch.manual_seed(int(seed.generate_state(1, np.uint64)[0] >> 1))  # dropout's draws
        self.optimizer.zero_grad(set_to_none=True)
        loss = torch.zeros((), device=accelerator.device)
        total = torch.zeros((), device=accelerator.device)
        last = len(step.parts) - 1
        for number, part in enumerate(step.parts):
            batch = part.to(str(accelerator.device))
            with accelerator.no_sync(self.module) if number < last else nullcontext():
                losses = self.module(batch)
                scale = accelerator.num_processes / step.clips  # gradients are averaged over them
                accelerator.backward((losses.total * batch.weights).sum() * scale)
            loss += (losses.fused.detach() * batch.weights).sum()
            total += (losses.total.detach() * batch.weights).sum()
        self._forget_company(step)
        mean = add_up(float(loss), accelerator) / step.clips
        if not math.isfinite(mean):
            return mean
        if not math.isfinite(add_up(float(total), accelerator)):
            return math.nan  # of the terms of modalities or teacher
        # An infinite bound scales nothing; a loss scaler looks after its gradients itself.
        bound = math.inf if options.clip_norm is None else options.clip_norm
        norm = accelerator.clip_grad_norm_(self.module.parameters(), bound)
        if accelerator.scaler is None and not bool(torch.isfinite(norm)):
            return math.nan
        self.optimizer.step()
        return mean

    def _forget_company(self, step: Step) -> None:
        """Where no process had a face, the visual encoder has no gradient, as in one process."""
        learner = self.of.learner
        if not learner.shares_faces:
            return
        faces = any(bool(part.inputs.visual_mask.any() & part.weights.any()) for part in step.parts)
        if not any_process(faces, self.of.accelerator):
            assert learner.model.resnet is not None
            learner.model.resnet.zero_grad(set_to_none=True)

    def _finish_epoch(self) -> None:
        standing, keeper = self.standing, self.of.keeper
        model = self.of.learner.model
        valid = predict(
            model, self.valid_clips, self.options, self.of.learner.label_weight, self.of.accelerator
        )
        self._check_loss(valid.loss, f"on the validation split in epoch {standing.epoch}")
        rule = tune_rule(valid.probabilities, valid.targets, model.config.task)
        record = self._record(valid, rule)
        standing.history.append(record)
        self._spend_time()
        if record.best:
            standing.best = (record.valid_f1, -record.valid_loss)
            standing.best_epoch = record.epoch
            keeper.best(standing, valid, rule)
        standing.epoch, standing.step = standing.epoch + 1, 0
        standing.loss_sum, standing.clips = 0.0, 0
        keeper.state(standing)
        keeper.figures(
            record.epoch,
            {
                "loss/train": record.train_loss,
                "loss/valid": record.valid_loss,
                "f1/valid": record.valid_f1,
                "accuracy/valid": record.valid_accuracy,
                "weighted_accuracy/valid": record.valid_weighted_accuracy,
                "speed/clips_per_s": record.clips_per_s,
                "speed/waiting": record.waiting,
                "learning_rate": self.optimizer.param_groups[0]["lr"],
            },
        )

    def _record(self, valid: Predictions, rule: DecisionRule) -> EpochRecord:
        standing = self.standing
        scores = score(
            rule.decide(valid.probabilities),
            valid.targets,
            self.of.learner.model.config.labels,
        )
        accuracy, weighted_accuracy = scores.accuracy, scores.weighted_accuracy
        if rule.task == "multiclass":
            classes = score_classes(valid.probabilities, valid.targets)
            assert classes is not None  # a clip without exactly one label was refused
            accuracy, weighted_accuracy = classes.accuracy, classes.unweighted_average_recall
        return EpochRecord(
            epoch=standing.epoch,
            train_loss=standing.loss_sum / standing.clips,
            valid_loss=valid.loss,
            valid_f1=scores.f1,
            valid_accuracy=accuracy,
            valid_weighted_accuracy=weighted_accuracy,
            clips_per_s=self.speed,
            waiting=self.waiting,
            best=standing.best is None or (scores.f1, -valid.loss) > standing.best,
        )

    def _spend_time(self) -> None:
        now = time.perf_counter()
        self.standing.train_s += now - self.started
        self.started = now

    def _check_loss(self, loss: float, where: str) -> None:
        if not math.isfinite(loss):
            best = self.standing.best_epoch
            kept = f"the model of epoch {best} is kept" if best else "no model was kept"
            raise MerEdgeError(
                f"the loss became {loss} {where}; expected a number; {kept}; "
                f"train again with a lower --lr than {self.options.learning_rate:g}"
            )


class _Meter:
    """Shows an epoch's loss and speed as it goes."""

    def __init__(self, progress: Progress, standing: Standing, loader: Loader, epochs: int) -> None:
        self.progress, self.standing, self.loader = progress, standing, loader
        self.total = loader.steps * epochs
        best = standing.best
        self.best_f1 = "" if best is None else f"best F1 {best[0]:.3f}, "
        self.started, self.waited_before_s = time.perf_counter(), loader.waited_s
        self.clips = 0

    def show(self, clips: int) -> None:
        self.clips += clips
        standing = self.standing
        self.progress.step(
            "train",
            (standing.epoch - 1) * self.loader.steps + standing.step,
            self.total,
            f"epoch {standing.epoch}, loss {standing.loss_sum / standing.clips:.3f}, "
            f"{self.best_f1}{self.speed:.0f} samples/s",
        )

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self.started

    @property
    def speed(self) -> float:
        return self.clips / self.elapsed_s

    @property
    def waiting(self) -> float:
        return (self.loader.waited_s - self.waited_before_s) / self.elapsed_s
