"""Frozen features and logistic regression: what each trained modality has to beat.

Log-mel statistics of the sound, grey values of the face, a frozen MiniLM's mean token of the
sentence; on the splits of ``DATA/triples`` (see ``data.py``) and on each set alone: all faces,
actor-disjoint folds of RAVDESS with its 8 emotions, GoEmotions' development part after its
training part. Each part is kept as it is measured: a second try goes on after the last.

    python -m benchmarks.real_signals.baselines --data DATA --source FOLDER --bert DIR --out FILE
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from transformers import AutoModel, AutoTokenizer

from benchmarks.real_signals.data import LABELS, read_sound
from mer_edge.files import new_file
from mer_edge.media.segmenting import segment_waveform
from mer_edge.model.logmel import LogMel
from mer_edge.segments import segment_count
from train.datasets.ravdess import fold_splits

FOLDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("--data", "--source", "--bert", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    triples, faces, voices = (args.data / name for name in ("triples", "faces", "voices"))
    whole = args.source / "ravdess_audio"
    parts: dict[str, Callable[[], Any]] = {
        "triples": lambda: on_triples(triples, args.bert),
        "faces": lambda: on_faces(faces),
        "ravdess_whole": lambda: on_ravdess(sorted(whole.glob("*.flac"))),
        "ravdess_cut": lambda: on_ravdess(sorted(voices.glob("*.wav"))),
        "goemotions": lambda: on_goemotions(args.source / "goemotions", args.bert),
    }
    found = json.loads(args.out.read_text(encoding="utf-8")) if args.out.exists() else {}
    for name, measure in parts.items():
        if name not in found:
            found[name] = measure()
            with new_file(args.out, "writing the baselines") as temporary:
                temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            print(name, json.dumps(found[name]), flush=True)


def on_triples(folder: Path, bert: Path) -> dict[str, dict[str, float]]:
    lines, truth, train, test = manifest(folder)
    clips = [folder / line["media"] for line in lines]
    features = {
        "audio": np.stack([logmel_statistics(read_sound(clip / "sound.wav")) for clip in clips]),
        "visual": np.stack([grey_values(next(clip.glob("*.jpg"))) for clip in clips]),
        "text": sentence_means([line["text"] for line in lines], bert),
    }
    return {
        name: fitted(x[train], truth[train], x[test], truth[test]) for name, x in features.items()
    }


def on_faces(folder: Path) -> dict[str, float]:
    lines, truth, train, test = manifest(folder)
    x = np.stack([grey_values(folder / line["media"]) for line in lines])
    found = fitted(x[train], truth[train], x[test], truth[test])
    return {**found, "train": int(train.sum()), "test": int(test.sum())}


def manifest(
    folder: Path,
) -> tuple[list[dict[str, Any]], NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """The lines of a data set's manifest, their classes, and which of them train and test."""
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    truth = np.array([LABELS.index(line["labels"][0]) for line in lines])
    splits = np.array([line["split"] for line in lines])
    return lines, truth, splits == "train", splits == "test"


def on_ravdess(files: list[Path]) -> dict[str, Any]:
    """Mean unweighted recall over actor-disjoint folds, 8 classes.

    All actors who do not test train: a fold's network has those of one part less, which choose its
    epoch.
    """
    fields = np.array([[int(part) for part in file.stem.split("-")] for file in files])
    x = np.stack([logmel_statistics(read_sound(file)) for file in files])
    emotion, actor = fields[:, 2], fields[:, 6]
    recalls = []
    for fold in range(1, FOLDS + 1):
        splits = fold_splits(fold, FOLDS)
        test = np.array([splits[number] == "test" for number in actor.tolist()])
        recalls.append(fitted(x[~test], emotion[~test], x[test], emotion[test])["uar"])
    return {"uar": float(np.mean(recalls)), "folds": recalls}


def on_goemotions(folder: Path, bert: Path) -> dict[str, float]:
    parts = [single_label(folder / f"{part}.tsv") for part in ("train", "dev")]
    (x, y), (x_test, y_test) = [(sentence_means(texts, bert), np.array(y)) for texts, y in parts]
    return {**fitted(x, y, x_test, y_test), "train": len(y), "test": len(y_test)}


def single_label(file: Path) -> tuple[list[str], list[int]]:
    """The sentences that have one label, and it."""
    with file.open(encoding="utf-8", newline="") as source:
        rows = list(csv.reader(source, delimiter="\t", quoting=csv.QUOTE_NONE))
    rows = [row for row in rows if "," not in row[1] and row[0].strip()]
    return [row[0] for row in rows], [int(row[1]) for row in rows]


def fitted(
    x: NDArray[np.floating],
    y: NDArray[np.int64],
    x_test: NDArray[np.floating],
    y_test: NDArray[np.int64],
) -> dict[str, float]:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    said = model.fit(x, y).predict(x_test)
    return {
        "accuracy": float(accuracy_score(y_test, said)),
        "uar": float(recall_score(y_test, said, average="macro", zero_division=0)),
    }


@torch.inference_mode()
def logmel_statistics(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean, deviation, minimum and maximum of each of the 64 bands over the clip; shape (256,)."""
    segments = segment_waveform(sound, segment_count(len(sound) / 16_000))
    bands = LogMel()(torch.from_numpy(segments)).flatten(0, 1)
    parts = (bands.mean(0), bands.std(0), bands.amin(0), bands.amax(0))
    statistics: NDArray[np.float32] = torch.cat(parts).numpy()
    return statistics


def grey_values(file: Path) -> NDArray[np.float32]:
    """24 x 24 pixels of the face, its mean and deviation removed; shape (576,)."""
    face = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    small = cv2.resize(face, (24, 24), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    values: NDArray[np.float32] = (small - small.mean()) / (small.std() + 1)
    return values


@torch.inference_mode()
def sentence_means(texts: list[str], bert: Path) -> NDArray[np.float32]:
    """The mean of the last hidden states over the tokens of each text; shape (texts, 384)."""
    tokenizer, model = AutoTokenizer.from_pretrained(bert), AutoModel.from_pretrained(bert).eval()
    order = np.argsort([len(text) for text in texts])  # similar lengths together: little padding
    means = np.zeros((len(texts), model.config.hidden_size), np.float32)
    for start in range(0, len(order), 64):
        rows = order[start : start + 64]
        tokens = tokenizer(
            [texts[row] for row in rows],
            padding=True,
            truncation=True,
            max_length=128,
            return_tensors="pt",
        )
        hidden = model(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(2)
        means[rows] = ((hidden * mask).sum(1) / mask.sum(1)).numpy()
    return means


if __name__ == "__main__":
    main()
