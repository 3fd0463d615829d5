"""One training run, from a data set to a checkpoint with its reports."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from mer_edge.checkout import commit
from mer_edge.errors import MerEdgeError
from mer_edge.model.checkpoint import load_checkpoint
from mer_edge.model.checkpoint_files import BEST
from mer_edge.model.mer import MerModel
from mer_edge.samples.sample import Sample, check_labels
from mer_edge.text.tokenizer import TextTokenizer
from train import folder
from train.datasets.registry import open_dataset
from train.distill import Distiller
from train.distributed import is_main_process, make_accelerator
from train.learner import Learner
from train.loop import Training, fit
from train.losses import label_weights
from train.optimizer import freeze, make_optimizer
from train.options import TrainOptions, describe, model_config
from train.predict import predict
from train.preflight import check_before_work, check_weights
from train.prepare import ReadySample, Skipped, prepare_samples
from train.progress import Progress, Silent
from train.provenance import fingerprint, versions
from train.report import SplitScores, TrainReport, jsonable
from train.setup import load_teacher, make_model, notice_of, reproducible
from train.splits import Splits, check_splits, label_splits
from train.state import Standing, read_standing, restore
from train.stopping import Stopped, StopRequest, listening
from train.store import usual_store
from train.usable import note_unusable


def train(
    data: Path,
    out: Path,
    options: TrainOptions,
    progress: Progress | None = None,
    *,
    overwrite: bool = False,
    resume: bool = False,
) -> TrainReport:
    """Train on ``data`` and leave the best model in ``out``.

    ``out/best`` is a checkpoint (see ``mer_edge.model.checkpoint``): it appears after the first
    epoch and each better one replaces it. ``out/last`` is where the run stands after every epoch;
    with ``resume`` it goes on from there, and begins where there is nothing yet. On the CPU the
    same data, options and number of threads give the same bits, interrupted or not. The
    processes that prepare clips import the main module anew: a script calls this below
    ``if __name__ == "__main__"``.

    Raises:
        MerEdgeError: no usable data, an unknown label, ``out`` exists, the loss diverges.
        Stopped: the run was asked to end by SIGTERM or Ctrl-C; its state is saved.
    """
    progress = (progress or Silent()) if is_main_process() else Silent()
    if resume:
        earlier = folder.earlier_report(out)
        if earlier is not None and earlier.finished:
            folder.check_same_options(out, earlier, jsonable(asdict(options)))
            progress.note(f"{out}: the run has finished already; nothing is left to do.")
            return earlier
    elif is_main_process():
        folder.check_new_run(out, overwrite)
    check_before_work(data, out, options)
    accelerator = make_accelerator(options)
    with accelerator.main_process_first():
        material = _gather(data, options, progress)
    with ExitStack() as stack:
        stack.enter_context(reproducible(options))
        stop = stack.enter_context(listening())
        return _Run(out, options, progress, accelerator, material, stop, resume).run()


@dataclass(frozen=True, eq=False)
class _Material:
    """The data of a run, ready."""

    data: Path
    samples: Sequence[Sample]
    labels: tuple[str, ...]
    ready: list[ReadySample]
    skipped: list[Skipped]
    prepare_s: float


def _gather(data: Path, options: TrainOptions, progress: Progress) -> _Material:
    started = time.perf_counter()
    dataset = open_dataset(data, options.dataset)
    labels = options.labels or dataset.labels
    check_labels(dataset.samples, labels)
    check_splits(dataset.samples, labels, options.task)
    check_weights(labels, options)
    progress.note(describe(options))
    for note in dataset.notes:
        progress.note(note, warning=True)
    ready, skipped = prepare_samples(
        dataset.samples,
        options.cache or usual_store(data),
        options.crops_per_segment,
        options.workers,
        progress,
        options.evidence,
    )
    check_splits([item.sample for item in ready], labels, options.task)
    note_unusable(ready, model_config(options).modalities, progress)
    spent_s = time.perf_counter() - started
    return _Material(data, dataset.samples, labels, ready, skipped, spent_s)


class _Run:
    """What one call of :func:`train` sets up and goes through."""

    def __init__(
        self,
        out: Path,
        options: TrainOptions,
        progress: Progress,
        accelerator: Accelerator,
        material: _Material,
        stop: StopRequest,
        resume: bool,
    ) -> None:
        self.out, self.options, self.progress = out, options, progress
        self.accelerator, self.material, self.stop, self.resume = (
            accelerator,
            material,
            stop,
            resume,
        )
        self.main = accelerator.is_main_process

    def run(self) -> TrainReport:
        learner, tokenizer_json, splits = self._set_up()
        draft = draft_report(self.out, self.material, self.options, learner.model)
        standing = self._standing(draft)
        keeper: folder.RunKeeper | None = None
        if self.main:
            if standing is None:
                folder.begin(self.out, draft)
            keeper = folder.RunKeeper(self.out, tokenizer_json, draft, self.options.evidence)
        training = Training(
            learner,
            make_optimizer(learner, self.options),
            self.accelerator,
            self.options,
            self.progress,
            keeper or folder.Onlooker(),
            self.stop,
        )
        standing = self._take_up(standing, training, keeper)
        try:
            finished = fit(training, splits["train"], splits["valid"], standing)
        except MerEdgeError:
            saved = (self.out / folder.LAST).is_dir()  # by SIGTERM within the first epoch
            if self.main and not standing.best_epoch and not saved:
                shutil.rmtree(self.out, ignore_errors=True)  # nothing in it is worth keeping
            raise
        finally:
            if keeper is not None:
                keeper.close()
        if not finished:
            raise Stopped(
                f"stopped by {self.stop.name or 'another process'} in epoch {standing.epoch}; "
                f"{self.out} is saved; go on with the same command and --resume",
                self.stop,
            )
        return self._finish(learner.model, splits, standing, keeper, draft)

    def _set_up(self) -> tuple[Learner, str, Splits]:
        options, material = self.options, self.material
        sentences = training_sentences(material.ready)
        model, tokenizer_json = make_model(sentences, material.labels, options)
        freeze(model, options)
        model.to(self.accelerator.device)
        distiller, teacher_tokenizer = None, None
        if options.teacher is not None:
            teacher, teacher_tokenizer = load_teacher(
                options.teacher, material.labels, options.task, str(self.accelerator.device)
            )
            distiller = Distiller(teacher, model, options.distill).to(self.accelerator.device)
        tokenizer = TextTokenizer(tokenizer_json, model.config.text.max_position_embeddings)
        splits = label_splits(material.ready, material.labels, tokenizer, teacher_tokenizer)
        targets = np.stack([clip.targets for clip in splits["train"]])
        weight = label_weights(targets, material.labels, options.task, options.class_weights)
        learner = Learner(model, weight, options.modality_loss_weight, distiller)
        return learner.to(self.accelerator.device), tokenizer_json, splits

    def _standing(self, draft: TrainReport) -> Standing | None:
        """Where the run to be resumed stands; None for a run that begins."""
        found: list[Standing | None] = [None]
        if self.main and self.resume:
            earlier = folder.earlier_report(self.out)
            if earlier is not None:
                folder.check_same_run(earlier, draft)
                folder.recover(self.out)
                if (self.out / folder.LAST).is_dir():
                    found = [read_standing(self.out / folder.LAST)]
                if earlier.versions != draft.versions:
                    self.progress.note(
                        "the run was begun with other versions of its packages; from here on it "
                        "may differ in the last bits from one that was never interrupted",
                        warning=True,
                    )
        if self.accelerator.num_processes > 1:
            broadcast_object_list(found)
        return found[0]

    def _take_up(
        self, standing: Standing | None, training: Training, keeper: folder.RunKeeper | None
    ) -> Standing:
        if keeper is not None:
            keeper.training = training
        if standing is None:
            return Standing()
        scaler = restore(self.out / folder.LAST, training.learner, training.optimizer)
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(scaler)
        if keeper is not None and standing.report:
            keeper.report = replace(folder.standing_report(standing), run=str(self.out))
        self.progress.note(
            f"{self.out}: going on in epoch {standing.epoch}, step {standing.step + 1}"
        )
        return standing

    def _finish(
        self,
        model: MerModel,
        splits: Splits,
        standing: Standing,
        keeper: folder.RunKeeper | None,
        draft: TrainReport,
    ) -> TrainReport:
        self.accelerator.wait_for_everyone()
        best = load_checkpoint(self.out / BEST)
        model.load_state_dict(best.model.state_dict())
        test = None
        if splits["test"]:
            predictions = predict(model, splits["test"], self.options, accelerator=self.accelerator)
            test = SplitScores.of(predictions, best.rule, model.config.labels)
        self.accelerator.wait_for_everyone()
        return draft if keeper is None else keeper.finish(standing, test)


def training_sentences(ready: Sequence[ReadySample]) -> list[str]:
    return [item.sample.text for item in ready if item.sample.split == "train" and item.sample.text]


def draft_report(
    out: Path, material: _Material, options: TrainOptions, model: MerModel
) -> TrainReport:
    """Everything of the report that is known before the first epoch."""
    used = [item.sample for item in material.ready]
    return TrainReport(
        run=str(out),
        finished=False,
        preset=options.preset,
        labels=list(model.config.labels),
        thresholds=[],
        options=jsonable(asdict(options)),
        data=os.path.relpath(material.data, out),
        data_fingerprint=fingerprint(material.samples),
        clips={split: sum(s.split == split for s in used) for split in ("train", "valid", "test")},
        skipped=[asdict(item) for item in material.skipped],
        text_encoder=options.bert or "from scratch",
        parameters=sum(p.numel() for p in model.parameters()),
        epochs=0,
        best_epoch=0,
        valid=None,
        test=None,
        prepare_s=round(material.prepare_s, 3),
        train_s=0.0,
        versions=versions(),
        commit=commit(),
        notice=notice_of(options),
    )
