"""How good the starter model is, on people, faces and sentences that nothing was trained on.

Single modalities on their corpora; fused on triples, which flatter (``starter_clips``), and on the
takes of one actor that have sound and picture, which do not; INT8 against fp32 on whole clips.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score

from mer_edge.decision import DecisionRule
from mer_edge.model.checkpoint import Checkpoint, load_checkpoint
from mer_edge.segments import MODALITIES
from runtime.recognizer import Recognizer
from train.datasets.ravdess import SENTENCES
from train.progress import Progress
from train.recipes.banks import (
    banks_of,
    classes_of,
    clip_face_logits,
    sentence_logits,
    voice_logits,
)
from train.recipes.corpora import LABELS, RAVDESS_LABELS, of_split, speech_recordings
from train.recipes.face_scores import take_face, take_frames
from train.recipes.faces import FacesSettings
from train.recipes.fusion import Bank, Draws, draw, fuse
from train.recipes.speech_sounds import read_sound
from train.recipes.starter_clips import triples
from train.recipes.temperature import calibration_error

RESAMPLES = 2000
COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.6)
COMPARED_CLIPS = 500
SEED = 5


def measure(
    run: Path, int8: Path, fp32: Path, data: Path, faces: FacesSettings, progress: Progress
) -> dict[str, Any]:
    """Every figure of the model card.

    Args:
        run: the checkpoint.
        int8: its INT8 bundle; ``fp32`` likewise.

    Raises:
        MerEdgeError: a corpus is missing, or a bundle is broken.
    """
    loaded = load_checkpoint(run)
    tokenizer_json = loaded.tokenizer_path.read_text(encoding="utf-8")
    banks = banks_of(
        loaded.model, tokenizer_json, data, "test", faces.held_out_share, faces.seed, progress
    )
    found = {
        "text": scores(banks["text"], loaded.rule),
        "visual": scores(banks["visual"], loaded.rule),
        **_speech(loaded, data, banks["audio"]),
        "fused_triples": _fused(loaded, banks),
        "real_takes": _takes(loaded, tokenizer_json, data),
    }
    progress.note("comparing INT8 with fp32")
    found["int8_against_fp32"] = compare_bundles(int8, fp32, data, faces)
    return found


def scores(bank: Bank, rule: DecisionRule) -> dict[str, Any]:
    """Of one modality's decisions, calibrated within the network, with 95 % intervals."""
    return _scores(bank.logits, bank.classes, DecisionRule(rule.task))


def _scores(
    logits: NDArray[np.floating], classes: NDArray[np.int64], rule: DecisionRule
) -> dict[str, Any]:
    probabilities = rule.probabilities(logits)
    said = probabilities.argmax(1)
    present = np.unique(classes).tolist()
    rng = np.random.default_rng(SEED)
    spread = [
        _basic(classes[rows], said[rows], present)
        for rows in (_stratified(classes, rng) for _ in range(RESAMPLES // 4))
    ]
    found: dict[str, Any] = {"clips": len(classes), **_basic(classes, said, present)}
    found |= {
        f"{name}_95": np.percentile([one[name] for one in spread], [2.5, 97.5]).tolist()
        for name in ("accuracy", "uar", "macro_f1")
    }
    recalls = recall_score(classes, said, labels=present, average=None, zero_division=0)
    return found | {
        "recall": dict(zip([LABELS[c] for c in present], map(float, recalls), strict=True)),
        "calibration_error": calibration_error(classes, probabilities),
        "coverage": _coverage(probabilities, classes),
        "confusion": confusion_matrix(classes, said, labels=range(len(LABELS))).tolist(),
    }


def _basic(
    classes: NDArray[np.int64], said: NDArray[np.int64], present: list[int]
) -> dict[str, float]:
    options = {"labels": present, "average": "macro", "zero_division": 0}
    return {
        "accuracy": float(accuracy_score(classes, said)),
        "uar": float(recall_score(classes, said, **options)),
        "macro_f1": float(f1_score(classes, said, **options)),
    }


def _stratified(classes: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows drawn anew with replacement within each class."""
    return np.concatenate(
        [rng.choice(rows := np.flatnonzero(classes == c), len(rows)) for c in np.unique(classes)]
    )


def _coverage(probabilities: NDArray[np.float64], classes: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy of the most confident share of the clips."""
    order = np.argsort(-probabilities.max(1), kind="stable")
    right = (probabilities.argmax(1) == classes)[order]
    return {f"{share:.0%}": float(right[: round(share * len(right))].mean()) for share in COVERAGES}


def _speech(loaded: Checkpoint, data: Path, bank: Bank) -> dict[str, Any]:
    """By corpus, and of RAVDESS by sex."""
    recordings = speech_recordings(data)
    tested = [r for r in of_split(recordings, "test") if r.corpus != "emodb"]
    corpora = np.array([r.corpus for r in tested])
    rule = DecisionRule("multiclass")
    found = {
        name: _scores(bank.logits[corpora == corpus], bank.classes[corpora == corpus], rule)
        for name, corpus in (("audio", "ravdess"), ("audio_nemo", "nemo"))
    }
    for sex in ("female", "male"):
        rows = np.array([r.corpus == "ravdess" and r.sex == sex for r in tested])
        found["audio"][f"uar_{sex}"] = _scores(bank.logits[rows], bank.classes[rows], rule)["uar"]
    german = of_split(recordings, "test", "emodb")
    logits = np.stack([voice_logits(loaded.model, read_sound(r.path)) for r in german])
    return found | {"audio_emodb": _scores(logits, classes_of(german), rule)}


def _fused(loaded: Checkpoint, banks: Mapping[str, Bank]) -> dict[str, Any]:
    """Class-matched triples of what tests: fused against each modality, by paired resampling."""
    draws = draw(banks, len(banks["audio"].classes), np.random.default_rng(SEED))
    logits = fuse(loaded.model, draws)
    said = {"fused": logits.argmax(1)}
    said |= {name: draws.decisions[:, i].argmax(1) for i, name in enumerate(MODALITIES)}
    found: dict[str, Any] = _scores(logits, draws.classes, loaded.rule)
    return found | {
        "against": {name: _paired(said["fused"], said[name], draws.classes) for name in MODALITIES}
    }


def _paired(
    first: NDArray[np.int64], second: NDArray[np.int64], classes: NDArray[np.int64]
) -> dict[str, float]:
    """Average F1 of the second, and how often the first is no better when clips are drawn anew."""
    rng, present = np.random.default_rng(SEED), np.unique(classes).tolist()

    def f1(rows: NDArray[np.int64], said: NDArray[np.int64]) -> float:
        return _basic(classes[rows], said[rows], present)["macro_f1"]

    drawn = [_stratified(classes, rng) for _ in range(RESAMPLES // 4)]
    worse = [f1(rows, first) <= f1(rows, second) for rows in drawn]
    everything = np.arange(len(classes))
    return {"macro_f1": f1(everything, second), "p": (sum(worse) + 1) / (len(worse) + 1)}


def _takes(loaded: Checkpoint, tokenizer_json: str, data: Path) -> dict[str, Any]:
    """The takes of actor 1 that have sound and faces; without words, and with those spoken."""
    folder = data / "ravdess_av_actor01" / "faces"
    names = [p for p in sorted(folder.glob("*.jpg")) if p.stem.split("-")[2] in RAVDESS_LABELS]
    if not names:
        return {}
    classes = np.array([LABELS.index(RAVDESS_LABELS[p.stem.split("-")[2]]) for p in names])
    voices = [data / "ravdess_audio" / f"03-{p.stem[3:]}.flac" for p in names]
    shown = [[take_face(frame) for frame in take_frames(path)] for path in names]
    texts = [SENTENCES[p.stem.split("-")[4]] for p in names]
    decisions = np.stack(
        [
            [voice_logits(loaded.model, read_sound(voice)) for voice in voices],
            [clip_face_logits(loaded.model, faces) for faces in shown],
            sentence_logits(loaded.model, tokenizer_json, texts),
        ],
        axis=1,
    ).astype(np.float32)
    found: dict[str, Any] = {"sentences": sorted(set(texts))}
    for name, kept in (
        ("voice", (1, 0, 0)),
        ("face", (0, 1, 0)),
        ("voice and face", (1, 1, 0)),
        ("voice, face and words", (1, 1, 1)),
    ):
        present = np.tile(np.array(kept, np.bool_), (len(classes), 1))
        logits = fuse(loaded.model, Draws(decisions, present, classes))
        found[name] = _scores(logits, classes, loaded.rule)
    return found


def compare_bundles(
    int8: Path, fp32: Path, data: Path, faces: FacesSettings, count: int = COMPARED_CLIPS
) -> dict[str, float]:
    """How often the two decide alike on whole clips of what tests."""
    recognizers = [Recognizer(bundle, threads=1) for bundle in (int8, fp32)]
    same, change = [], []
    for triple in triples(data, "test", faces, count):
        clip = triple.clip()
        first, second = (recognizer.recognize(clip) for recognizer in recognizers)
        same.append(first.top == second.top)
        change.append(abs(first.confidence - second.confidence))
    return {
        "clips": count,
        "agreement": float(np.mean(same)),
        "mean_confidence_change": float(np.mean(change)),
    }
