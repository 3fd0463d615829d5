"""One training run, from a data set's manifest to a checkpoint with its reports."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from mer_edge.errors import MerEdgeError
from mer_edge.files import new_directory
from mer_edge.model.checkpoint import write_checkpoint
from mer_edge.model.mer import MerModel
from mer_edge.text.tokenizer import TextTokenizer
from train.datasets.manifest import Sample, label_names, read_manifest
from train.loop import EpochRecord, Predictions, fit, predict
from train.optimizer import make_optimizer
from train.options import TrainOptions, describe
from train.prepare import ReadySample, Skipped, prepare_samples
from train.progress import Progress, Silent
from train.provenance import commit, fingerprint, versions
from train.report import SplitScores, TrainReport, write_reports
from train.setup import check_device, make_model, notice_of, reproducible
from train.splits import Splits, check_splits, label_splits

RUN_FILES = ("config.json", "model.safetensors", "report.json")
"""By these a directory is known as one that a run made."""


def train(
    data: Path,
    out: Path,
    options: TrainOptions,
    progress: Progress | None = None,
    *,
    overwrite: bool = False,
) -> TrainReport:
    """Train on ``data`` (a folder with ``manifest.jsonl``) and leave the best model in ``out``.

    ``out`` is a checkpoint (see ``mer_edge.model.checkpoint``) with ``history.json`` and
    ``report.json``. It appears after the first epoch and each better one replaces it, so a run
    that is interrupted or diverges leaves its best. On the CPU the same data, options and number
    of threads give the same bits. The processes that prepare clips import the main module anew:
    a script calls this below ``if __name__ == "__main__"``.

    Raises:
        MerEdgeError: no usable data, an unknown label, ``out`` exists, the loss diverges.
    """
    progress = progress or Silent()
    folder = data if data.is_dir() else data.parent
    check_out(out, overwrite)
    check_device(options.device)
    samples = read_manifest(data, options.labels)
    labels = options.labels or label_names(samples)
    check_splits(samples, labels)
    progress.note(describe(options))
    started = time.perf_counter()
    ready, skipped = prepare_samples(
        samples,
        options.cache or folder / ".prepared",
        options.crops_per_segment,
        options.workers,
        progress,
    )
    check_splits([item.sample for item in ready], labels)
    prepare_s = time.perf_counter() - started
    with reproducible(options):
        model, tokenizer_json = make_model(training_sentences(ready), labels, options)
        draft = draft_report(out, folder, samples, skipped, prepare_s, options, model)
        keeper = _Keeper(out, model, tokenizer_json, draft)
        tokenizer = TextTokenizer(tokenizer_json, model.config.text.max_position_embeddings)
        splits = label_splits(ready, labels, tokenizer)
        return _fit_and_test(model, splits, options, progress, keeper)


def check_out(out: Path, overwrite: bool) -> None:
    """Refuse to write over anything but an earlier run, and over that only when told to.

    Raises:
        MerEdgeError: ``out`` exists.
    """
    if not out.exists():
        return
    if not overwrite:
        raise MerEdgeError(
            f"{out} exists already; name another --out, or add --overwrite to replace the run"
        )
    is_run = out.is_dir() and all((out / name).is_file() for name in RUN_FILES)
    if not is_run and not (out.is_dir() and not any(out.iterdir())):
        raise MerEdgeError(
            f"{out} is not a training run ({', '.join(RUN_FILES)} are not all in it); "
            "--overwrite replaces only what a run has made; name another --out"
        )


def training_sentences(ready: Sequence[ReadySample]) -> list[str]:
    return [item.sample.text for item in ready if item.sample.split == "train" and item.sample.text]


class _Keeper:
    """Publishes the best model so far and remembers its weights."""

    def __init__(self, out: Path, model: MerModel, tokenizer_json: str, draft: TrainReport) -> None:
        self.out, self.model, self.tokenizer_json = out, model, tokenizer_json
        self.report = draft
        self.started = time.perf_counter()
        self.best_weights: dict[str, torch.Tensor] = {}

    def keep(
        self, history: Sequence[EpochRecord], valid: Predictions, thresholds: list[float]
    ) -> None:
        self.best_weights = copy.deepcopy(self.model.state_dict())
        self.report = replace(
            self.report,
            thresholds=thresholds,
            best_epoch=history[-1].epoch,
            valid=SplitScores.of(valid, thresholds, self.report.labels),
        )
        self._note(history)
        with new_directory(self.out, "keeping the best model", overwrite=True) as temporary:
            write_checkpoint(
                temporary,
                self.model,
                self.tokenizer_json,
                thresholds,
                self.report.notice,
                _provenance(self.report),
            )
            write_reports(temporary, self.report, history)

    def finish(self, history: Sequence[EpochRecord], test: SplitScores | None) -> TrainReport:
        """Say in the published run that it is over, and how the best model tests."""
        self.report = replace(self.report, test=test, finished=True)
        self._note(history)
        write_reports(self.out, self.report, history)
        return self.report

    def _note(self, history: Sequence[EpochRecord]) -> None:
        train_s = round(time.perf_counter() - self.started, 3)
        self.report = replace(self.report, epochs=len(history), train_s=train_s)


def _fit_and_test(
    model: MerModel, splits: Splits, options: TrainOptions, progress: Progress, keeper: _Keeper
) -> TrainReport:
    optimizer = make_optimizer(model, options)
    history = fit(
        model, optimizer, splits["train"], splits["valid"], options, progress, keeper.keep
    )
    model.load_state_dict(keeper.best_weights)
    test = None
    if splits["test"]:
        predictions = predict(model, splits["test"], options)
        test = SplitScores.of(predictions, keeper.report.thresholds, model.config.labels)
    return keeper.finish(history, test)


def draft_report(
    out: Path,
    folder: Path,
    samples: Sequence[Sample],
    skipped: Sequence[Skipped],
    prepare_s: float,
    options: TrainOptions,
    model: MerModel,
) -> TrainReport:
    """Everything of the report that is known before the first epoch."""
    left_out = {item.media for item in skipped}
    used = [sample for sample in samples if str(sample.media) not in left_out]
    return TrainReport(
        run=str(out),
        finished=False,
        preset=options.preset,
        labels=list(model.config.labels),
        thresholds=[],
        options=jsonable(asdict(options)),
        data=os.path.relpath(folder, out),
        data_fingerprint=fingerprint(samples),
        clips={split: sum(s.split == split for s in used) for split in ("train", "valid", "test")},
        skipped=[asdict(item) for item in skipped],
        text_encoder=options.bert or "from scratch",
        parameters=sum(p.numel() for p in model.parameters()),
        epochs=0,
        best_epoch=0,
        valid=None,
        test=None,
        prepare_s=round(prepare_s, 3),
        train_s=0.0,
        versions=versions(),
        commit=commit(),
        notice=notice_of(options),
    )


def jsonable(options: dict[str, Any]) -> dict[str, Any]:
    return {key: str(v) if isinstance(v, Path) else v for key, v in options.items()}


def _provenance(report: TrainReport) -> dict[str, str]:
    return {
        "train_commit": report.commit,
        "train_data_fingerprint": report.data_fingerprint,
        "train_seed": str(report.options["seed"]),
        "train_best_epoch": str(report.best_epoch),
        **{f"train_{name}": version for name, version in report.versions.items()},
    }
