"""Where the starter model stands: writes results/starter.{json,md,png} and fills its model card.

Takes what ``train.recipes.starter`` measured (``OUT/starter.json``), adds size and time of the
built-in bundle on this machine, and puts the figures into ``mer_edge/starter/MODEL_CARD.md`` where
it says ``FIGURE:name``.

    python -m benchmarks.starter_page OUT
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.outcome import publish
from mer_edge.bundle import Bundle
from mer_edge.processor import describe_int8
from mer_edge.starter_bundle import MODEL_CARD, STARTER
from runtime.bench.machine import processor_name
from train.recipes.corpora import LABELS

RESULTS = Path(__file__).resolve().parent / "results"
CLIP = Path(__file__).resolve().parents[1] / "demo-data" / "portrait.mp4"
RUNS = 7
PEERS = {
    "faces": "mini-XCEPTION (`fer`) 0.641, face-api 0.657 on FER+ (measured by this project "
    "earlier); Barsoum et al. 2016 publish 0.85 with VGG13 on the test part",
    "text": "a frozen MiniLM with logistic regression 0.616 (measured by this project)",
    "speech": "YAMNet frozen with logistic regression 0.455 over 8 classes, actor-disjoint folds "
    "(measured by this project)",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, help="what train.recipes.starter has left")
    args = parser.parse_args()
    record = json.loads((args.out / "starter.json").read_text(encoding="utf-8"))
    record |= {"machine": measure_machine()}
    draw_confusions(record["figures"], RESULTS / "starter.png")
    publish(record, as_markdown(record), RESULTS, "starter")
    fill_card(STARTER / MODEL_CARD, card_figures(record))


def measure_machine() -> dict[str, Any]:
    """Size of the bundle, and seconds of a whole process on the demo's clip."""
    command = [sys.executable, "-m", "mer_edge", "infer", str(CLIP), "--json"]
    seconds = []
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - began)
    manifest = Bundle.load().manifest
    return {
        "mb": sum(file.stat().st_size for file in STARTER.iterdir()) / 1e6,
        "process_s": [min(seconds), statistics.median(seconds), max(seconds)],
        "processor": processor_name(),
        "int8": describe_int8(),
        "min_confidence": manifest.min_confidence,
        "temperature": manifest.temperatures.fused,
        "variant": manifest.variant,
    }


def as_markdown(record: dict[str, Any]) -> str:
    found, machine, parts = record["figures"], record["machine"], record["parts"]
    least, median, most = machine["process_s"]
    lines = [
        "# The starter model",
        "",
        f"`python -m train.recipes.starter`, then `python -m benchmarks.starter_page OUT`; commit "
        f"`{record['commit'][:12]}`. Measured on people, faces and sentences that neither trained "
        "nor chose anything; 95 % intervals by stratified bootstrap. "
        f"{machine['processor']}, {machine['int8']}.",
        "",
        "| what | clips | accuracy | UAR | macro-F1 | calibration error |",
        "|---|---|---|---|---|---|",
        *(_row(name, one) for name, one in _subjects(found)),
        "",
        f"Beside them, on the same kind of data: faces: {PEERS['faces']}; text: {PEERS['text']}; "
        f"speech: {PEERS['speech']}.",
        "",
        "**Triples** put a voice, a face and a sentence of one label together. Given it they "
        "are independent of each other, which life is not: fusion looks better here than it is. "
        "Against each modality on the same clips (average F1, paired bootstrap): "
        + "; ".join(
            f"{name} {one['macro_f1']:.3f} (p {one['p']:.3f})"
            for name, one in found["fused_triples"]["against"].items()
        )
        + ". **Real takes**: one actor who was left out of everything, two sentences without "
        "emotion; few clips, wide intervals.",
        "",
        "## Uncertain",
        "",
        f"Below a confidence of {machine['min_confidence']} the answer is `uncertain`. Accuracy of "
        "the most confident share:",
        "",
        "| what | " + " | ".join(found["fused_triples"]["coverage"]) + " |",
        "|---|" + "---|" * len(found["fused_triples"]["coverage"]),
        *(
            f"| {name} | " + " | ".join(f"{v:.3f}" for v in one["coverage"].values()) + " |"
            for name, one in _subjects(found)
        ),
        "",
        "## Recall by class",
        "",
        "| what | " + " | ".join(LABELS) + " |",
        "|---|" + "---|" * len(LABELS),
        *(
            f"| {name} | "
            + " | ".join(
                f"{one['recall'][label]:.2f}" if label in one["recall"] else "-" for label in LABELS
            )
            + " |"
            for name, one in _subjects(found)
        ),
        "",
        f"RAVDESS by sex, UAR: women {found['audio']['uar_female']:.3f}, men "
        f"{found['audio']['uar_male']:.3f}. Text that was never trained on, other corpora "
        "(macro-F1 over their classes): "
        + ", ".join(
            f"{name} {parts['text']['figures'][name]['macro_f1']:.3f}"
            for name in ("meld_dev", "isear", "emorynlp_test")
        )
        + ".",
        "",
        "![Confusion](starter.png)",
        "",
        "## Cost",
        "",
        f"{machine['mb']:.1f} MB. The whole process on a clip of 2.9 s at 640 x 360 "
        f"(`mer-edge infer demo-data/portrait.mp4 --json`), {RUNS} runs: least {least:.2f}, median "
        f"{median:.2f}, most {most:.2f} s. INT8 decides as fp32 does on "
        f"{found['int8_against_fp32']['agreement']:.1%} of "
        f"{found['int8_against_fp32']['clips']} clips.",
    ]
    return "\n".join(lines) + "\n"


def _subjects(found: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    takes = found["real_takes"]
    return [
        ("text: GoEmotions dev, one label", found["text"]),
        ("faces: FER+ valid, one picture, framed", found["visual"]),
        ("speech: RAVDESS, 4 unseen actors", found["audio"]),
        ("speech: nEMO, an unseen speaker", found["audio_nemo"]),
        ("speech: EMO-DB, corpus and language left out", found["audio_emodb"]),
        ("fused: triples", found["fused_triples"]),
        *((f"real takes: {name}", one) for name, one in takes.items() if name != "sentences"),
    ]


def _row(name: str, one: dict[str, Any]) -> str:
    figures = " | ".join(
        f"{one[key]:.3f} ({one[f'{key}_95'][0]:.3f} to {one[f'{key}_95'][1]:.3f})"
        for key in ("accuracy", "uar", "macro_f1")
    )
    return f"| {name} | {one['clips']} | {figures} | {one['calibration_error']:.3f} |"


def draw_confusions(found: dict[str, Any], file: Path) -> None:
    subjects = [s for s in _subjects(found) if not s[0].startswith("real takes")]
    figure, axes = plt.subplots(2, 3, figsize=(14, 9.5))
    for axis, (name, one) in zip(axes.flat, subjects, strict=True):
        table = np.array(one["confusion"], float)
        share = table / np.maximum(table.sum(1, keepdims=True), 1)
        axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for (row, column), value in np.ndenumerate(share):
            colour = "white" if value > 0.5 else "black"
            axis.text(column, row, f"{value:.2f}"[1:], ha="center", va="center", color=colour)
        axis.set_title(name, fontsize=10)
        axis.set_xticks(range(len(LABELS)), LABELS, rotation=45, ha="right")
        axis.set_yticks(range(len(LABELS)), LABELS)
    figure.supxlabel("answered")
    figure.supylabel("truth")
    figure.tight_layout()
    figure.savefig(file, dpi=90)


def card_figures(record: dict[str, Any]) -> dict[str, str]:
    """What the model card says, by the names it uses."""
    found, machine, parts = record["figures"], record["machine"], record["parts"]
    takes = found["real_takes"]
    speakers = parts["speech"]["speakers"]["train"]
    fused = found["fused_triples"]
    return {
        "variant": f"variant {machine['variant']}: no SEM and no bottleneck",
        "size_mb": f"{machine['mb']:.1f}",
        "parameters_m": f"{record['parameters'] / 1e6:.1f}",
        "version": record["versions"]["mer-edge"],
        "commit": record["commit"][:12],
        "goemotions_train_count": f"{record['counts']['goemotions']:,}",
        "ferplus_train_count": f"{record['counts']['ferplus']:,}",
        "ravdess_train_count": f"{record['counts']['ravdess']:,}",
        "ravdess_train_actors": str(sum(s.startswith("ravdess") for s in speakers)),
        "nemo_train_count": f"{record['counts']['nemo']:,}",
        "nemo_train_speakers": str(sum(s.startswith("nemo") for s in speakers)),
        "text_macro_f1": _with_interval(found["text"], "macro_f1"),
        "text_accuracy": _with_interval(found["text"], "accuracy"),
        "face_accuracy": _with_interval(found["visual"], "accuracy"),
        "face_uar": _with_interval(found["visual"], "uar"),
        "speech_uar": _with_interval(found["audio"], "uar"),
        "speech_other_uar": "EMO-DB (German) " + _with_interval(found["audio_emodb"], "uar"),
        "fused_triples_f1": _with_interval(fused, "macro_f1"),
        "fused_takes_uar": _with_interval(takes["voice and face"], "uar"),
        "fused_ece": f"{fused['calibration_error']:.3f}",
        "accuracy_full": f"{fused['coverage']['100%']:.3f}",
        "accuracy_80": f"{fused['coverage']['80%']:.3f}",
        "int8_agreement": f"{found['int8_against_fp32']['agreement']:.1%} of "
        f"{found['int8_against_fp32']['clips']} clips",
        "speech_uar_female": f"{found['audio']['uar_female']:.3f}",
        "speech_uar_male": f"{found['audio']['uar_male']:.3f}",
    }


def _with_interval(one: dict[str, Any], key: str) -> str:
    low, high = one[f"{key}_95"]
    return f"{one[key]:.3f} ({low:.3f} to {high:.3f})"


def fill_card(card: Path, figures: dict[str, str]) -> None:
    """Replace each ``FIGURE:name``.

    Raises:
        KeyError: the card names a figure that is not known.
    """
    text = card.read_text(encoding="utf-8")
    card.write_text(re.sub(r"FIGURE:(\w+)", lambda m: figures[m[1]], text), encoding="utf-8")


if __name__ == "__main__":
    main()
