"""Whether every variant can learn 32 real clips by heart: the training loss falls below 0.05.

The loss is the mean over an epoch, with dropout, while the weights change. Preset ``small`` from
``--bert`` and random encoders, no augmentation.

    python benchmarks/real_signals/overfit.py --data DATA --bert DIR --out FILE
"""

from __future__ import annotations

import argparse
import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.real_signals.data import LABELS
from mer_edge.checkout import commit
from mer_edge.cli.progress import Bars
from mer_edge.model.config import VARIANTS
from mer_edge.text.tokenizer import TextTokenizer
from train.collate import LabelledClip
from train.datasets.registry import open_dataset
from train.distributed import make_accelerator
from train.folder import Onlooker
from train.learner import Learner
from train.loop import Training, fit
from train.losses import positive_weights
from train.optimizer import make_optimizer
from train.options import TrainOptions, only_what_applies, options_for
from train.prepare import ReadySample, prepare_samples
from train.progress import Progress, Silent
from train.provenance import versions
from train.setup import make_model, reproducible
from train.splits import label_splits
from train.state import Standing
from train.stopping import StopRequest

CLIPS = 32
ENOUGH = 0.05
FULL = "mer-sem-mbt"
CASES: dict[str, dict[str, Any]] = {
    **{name: {"variant": name} for name in VARIANTS},
    "cross-modal joint": {"variant": FULL, "cross_modal": "joint"},
    "cross-modal bi_cross": {"variant": FULL, "cross_modal": "bi_cross"},
    "SEM attention key": {"variant": FULL, "sem_attention": "key"},
    "SEM attention tokens": {"variant": FULL, "sem_attention": "tokens"},
    "SEMs everywhere": {
        "variant": FULL,
        "audio_sem_positions": (1, 2, 3, 4),
        "visual_sem_positions": (1, 2, 3, 4, 5),
    },
}


class UntilLearned(Onlooker):
    """Ends the run when its training loss is low enough."""

    def state(self, standing: Standing) -> None:
        if standing.history[-1].train_loss < ENOUGH:
            raise Learned


class Learned(Exception):  # noqa: N818 - the way out of a run that has done its work
    pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("--data", "--bert", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--threads", type=int, default=None)
    args = parser.parse_args()
    base = options_for(
        "small",
        bert=str(args.bert),
        epochs=args.epochs,
        patience_epochs=args.epochs,
        learning_rate=3e-4,
        batch_size=8,
        warmup_steps=20,
        clip_norm=1.0,
        precision="bf16",
        threads=args.threads,
        labels=LABELS,
    )
    with Bars() as bars:
        ready = real_clips(args.data / "triples", base, bars)
        found = {}
        for name in args.cases:
            found[name] = learn(only_what_applies(replace(base, **CASES[name])), ready)
            bars.note(f"{name}: {found[name]}")
    result = {"clips": CLIPS, "cases": found, "commit": commit(), "versions": versions()}
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if not all(case["train_loss"] < ENOUGH for case in found.values()):
        raise SystemExit("a variant has not learned its clips")


def real_clips(folder: Path, options: TrainOptions, progress: Progress) -> list[ReadySample]:
    """The first training clips of each class in turn."""
    samples = [s for s in open_dataset(folder).samples if s.split == "train"]
    of_class = [[s for s in samples if s.labels == (label,)] for label in LABELS]
    chosen = [sample for row in zip(*of_class, strict=False) for sample in row][:CLIPS]
    ready, _ = prepare_samples(
        chosen, folder / ".prepared", options.crops_per_segment, None, progress
    )
    return ready


def learn(options: TrainOptions, ready: list[ReadySample]) -> dict[str, float]:
    """Epochs and loss when it is low enough, or at the end."""
    with reproducible(options):
        model, tokenizer_json = make_model([r.sample.text or "" for r in ready], LABELS, options)
        tokenizer = TextTokenizer(tokenizer_json, model.config.text.max_position_embeddings)
        clips: list[LabelledClip] = label_splits(ready, LABELS, tokenizer)["train"]
        learner = Learner(model, positive_weights(np.stack([c.targets for c in clips]), LABELS))
        standing = Standing()
        parts = (learner, make_optimizer(learner, options), make_accelerator(options), options)
        training = Training(*parts, Silent(), UntilLearned(), StopRequest())
        with contextlib.suppress(Learned):
            fit(training, clips, clips[:1], standing)
    last = standing.history[-1]
    return {"epochs": last.epoch, "train_loss": round(last.train_loss, 4)}


if __name__ == "__main__":
    main()
