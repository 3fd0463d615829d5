"""The text decision alone on GoEmotions' own parts: trains on ``train.tsv``, tested on ``dev.tsv``.

Sentences of one label. The model is the variant ``text`` of the preset ``small``, trained by the
loop of ``mer-edge train``; 5 % of the training part chooses the epoch.

    python benchmarks/real_signals/text_alone.py --source FOLDER --bert DIR --out FILE
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from sklearn.metrics import accuracy_score, recall_score

from benchmarks.real_signals.baselines import single_label
from benchmarks.real_signals.data import GOEMOTIONS
from mer_edge.checkout import commit
from mer_edge.cli.progress import Bars
from mer_edge.text.tokenizer import TextTokenizer
from train.collate import LabelledClip
from train.distributed import make_accelerator
from train.folder import Onlooker
from train.learner import Learner
from train.loop import Training, fit
from train.losses import positive_weights
from train.optimizer import make_optimizer
from train.options import options_for
from train.predict import predict
from train.prepared import ClipRef, write_shard
from train.progress import Progress
from train.provenance import versions
from train.setup import make_model, reproducible
from train.splits import tokenized
from train.state import Standing
from train.stopping import StopRequest
from train.stored_clip import StoredClip

VALID_SHARE = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("--source", "--bert", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with Bars() as bars:
        found = measure(args, bars)
    args.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


def measure(args: argparse.Namespace, progress: Progress) -> dict[str, object]:
    options = options_for(
        "small",
        variant="text",
        bert=str(args.bert),
        epochs=args.epochs,
        batch_size=32,
        warmup_steps=200,
        linear_decay=True,
        clip_norm=1.0,
        precision="bf16",
        threads=args.threads,
        seed=args.seed,
    )
    with reproducible(options), tempfile.TemporaryDirectory() as folder:
        model, tokenizer_json = make_model([], GOEMOTIONS, options)
        tokenizer = TextTokenizer(tokenizer_json, model.config.text.max_position_embeddings)
        nothing = silent_clip(Path(folder) / "silence.parquet")
        clips, tested = (
            [
                LabelledClip(
                    nothing, tokenized(text, tokenizer), np.arange(len(GOEMOTIONS)) == label
                )
                for text, label in zip(
                    *single_label(args.source / f"goemotions/{part}.tsv"), strict=True
                )
            ]
            for part in ("train", "dev")
        )
        chosen = np.random.default_rng(args.seed).random(len(clips)) < VALID_SHARE
        train = [clip for clip, valid in zip(clips, chosen, strict=True) if not valid]
        valid = [clip for clip, valid in zip(clips, chosen, strict=True) if valid]
        targets = np.stack([clip.targets for clip in train])
        # As many yes as no would favour rare emotions; accuracy counts the sentences.
        learner = Learner(model, positive_weights(targets, GOEMOTIONS) ** 0)
        parts = (learner, make_optimizer(learner, options), make_accelerator(options), options)
        standing = Standing()
        fit(Training(*parts, progress, Onlooker(), StopRequest()), train, valid, standing)
        found = predict(model, tested, options)
    said, truth = found.probabilities.argmax(1), found.targets.argmax(1)
    return {
        "accuracy": float(accuracy_score(truth, said)),
        "uar": float(recall_score(truth, said, average="macro")),
        "train": len(train),
        "test": len(tested),
        "epochs": args.epochs,
        "seed": args.seed,
        "train_s": round(standing.train_s),
        "commit": commit(),
        "versions": versions(),
    }


def silent_clip(file: Path) -> ClipRef:
    """A clip of one segment without sound and face, for sentences that have neither."""
    none, nobody = np.zeros(1, np.bool_), np.zeros((1, 1), np.bool_)
    ends = np.zeros((1, 1), np.int64)
    clip = StoredClip(np.zeros((1, 15600), np.float32), none, nobody, np.zeros(0, np.uint8), ends)
    write_shard(file, [("silence", clip)])
    return ClipRef(file, 0)


if __name__ == "__main__":
    main()
