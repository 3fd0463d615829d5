"""Puts what run.sh left into results/real-signals.{md,json,png}.

python -m benchmarks.real_signals.report --runs OUT
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
from pathlib import Path
from typing import Any

from mer_edge.files import new_file
from train.evaluation.significance import paired_t_test
from train.provenance import versions

RESULTS = Path(__file__).resolve().parents[1] / "results"
FULL = "mer-sem-mbt"
COMMAND = "benchmarks/real_signals/run.sh SOURCE BERT OUT"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=RESULTS / "real-signals.md")
    args = parser.parse_args()
    runs = args.runs
    variants = read(runs / "grid/variants/ablation.json")
    found = {
        "variants": variants,
        "attention": attention(variants, read(runs / "grid/attention/ablation.json")),
        "encoders": {name: test_scores(runs / "runs" / name) for name in ("faces", "voices")},
        "ravdess": [test_uar(file) for file in sorted((runs / "runs/ravdess").glob("fold-*.json"))],
        "text": read_if_there(runs / "text.json"),
        "baselines": read_if_there(runs / "baselines.json"),
        "overfit": read_if_there(runs / "overfit.json"),
        "commit": read(runs / f"grid/variants/{FULL}/seed-0/report.json")["commit"],
        "versions": versions(),
        "machine": f"{os.cpu_count()} processors ({platform.machine()})",
    }
    for path, text in (
        (args.out, page(found)),
        (args.out.with_suffix(".json"), json.dumps(found, indent=1) + "\n"),
    ):
        with new_file(path, "writing the results") as temporary:
            temporary.write_text(text, encoding="utf-8")
    shutil.copy(runs / "grid/variants/ablation.png", args.out.with_suffix(".png"))
    print(page(found))


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def read_if_there(path: Path) -> Any:
    """None for a part that has not run: the page leaves it out."""
    return read(path) if path.exists() else None


def test_scores(run: Path) -> dict[str, Any]:
    scores: dict[str, Any] = read(run / "report.json")["test"]
    return scores


def test_uar(evaluation: Path) -> float:
    """The mean share of each class that the most probable label finds, as ``evaluate`` says it."""
    uar: float = read(evaluation)["subjects"][0]["classes"]["unweighted_average_recall"]
    return uar


def attention(variants: Any, others: Any) -> dict[str, dict[str, Any]]:
    """F1 of the full model over seeds by the form of its SEMs, against ``spatial``."""
    spatial = series(variants, FULL)
    forms = {"spatial": spatial}
    forms |= {form: series(others, f"{FULL}_sem_attention-{form}") for form in ("key", "tokens")}
    found = {}
    for form, values in forms.items():
        test = None if form == "spatial" else paired_t_test(values, spatial)
        found[form] = {
            "values": values,
            "mean": statistics.mean(values),
            "deviation": statistics.stdev(values),
            "p": None if test is None else test.p,
        }
    return found


def series(ablation: Any, cell: str) -> list[float]:
    runs = [run for run in ablation["runs"] if run["cell"] == cell]
    return [run["figures"]["f1"] for run in sorted(runs, key=lambda run: run["seed"])]


def mean(ablation: Any, cell: str, figure: str) -> float:
    (found,) = [c for c in ablation["cells"] if c["name"] == cell]
    value: float = found["figures"][figure]["mean"]
    return value


def page(found: dict[str, Any]) -> str:
    variants, baselines = found["variants"], found["baselines"]
    lines = [
        f"**{variants['note']}**",
        "",
        f"`{COMMAND}`, commit `{found['commit'][:12]}`, {found['machine']}, torch "
        f"{found['versions']['torch']}. Preset `small`; the text encoder starts from MiniLM-L6, "
        "the audio and visual encoders from runs on the training split's own voices and on "
        "FER2013's faces; 3 seeds; 14 speakers train, 3 choose the epoch, 3 test.",
        "",
        "![F1 of each network](real-signals.png)",
        "",
        *variant_table(variants),
        "",
        *attention_table(found["attention"]),
        "",
    ]
    if baselines and found["text"] and found["ravdess"]:
        lines += [*baseline_table(found, baselines), ""]
    if found["overfit"]:
        lines += overfit_table(found["overfit"])
    return "\n".join(lines) + "\n"


def variant_table(variants: Any) -> list[str]:
    lines = [
        f"Test split, mean ± deviation over the seeds; p: paired t-test of F1 against {FULL}.",
        "",
        "| network | Avg F1 | Avg Acc | Avg WA | UAR | p | parameters |",
        "|---|---|---|---|---|---|---|",
    ]
    reference = series(variants, FULL)
    for cell in variants["cells"]:
        figures = cell["figures"]
        shown = [
            f"{figures[name]['mean']:.3f} ± {figures[name]['deviation']:.3f}"
            for name in ("f1", "accuracy", "weighted_accuracy", "unweighted_average_recall")
        ]
        p = paired_t_test(series(variants, cell["name"]), reference).p
        said = "-" if cell["name"] == FULL or p is None else chance(p)
        parameters = next(r["parameters"] for r in variants["runs"] if r["cell"] == cell["name"])
        lines.append(f"| {cell['name']} | {' | '.join(shown)} | {said} | {parameters:,} |")
    return lines


def chance(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def attention_table(forms: dict[str, dict[str, Any]]) -> list[str]:
    return [
        f"Form of the SEMs of {FULL}, Avg F1:",
        "",
        "| form | Avg F1 | seeds | p against spatial |",
        "|---|---|---|---|",
        *(
            f"| {form} | {f['mean']:.3f} ± {f['deviation']:.3f} | "
            f"{', '.join(f'{value:.3f}' for value in f['values'])} | "
            f"{'-' if f['p'] is None else chance(f['p'])} |"
            for form, f in forms.items()
        ),
    ]


def baseline_table(found: dict[str, Any], baselines: Any) -> list[str]:
    variants, text, folds = found["variants"], found["text"], found["ravdess"]
    rows = [
        (
            f"triples, {name}: UAR over 7 classes",
            baselines["triples"][name]["uar"],
            mean(variants, name, "unweighted_average_recall"),
        )
        for name in ("audio", "visual", "text")
    ]
    rows += [
        (
            "RAVDESS, 5 actor-disjoint folds, 8 classes: UAR",
            baselines["ravdess"]["uar"],
            statistics.mean(folds),
        ),
        (
            "GoEmotions, development part, 7 classes: accuracy",
            baselines["goemotions"]["accuracy"],
            text["accuracy"],
        ),
    ]
    return [
        "Each modality alone against frozen features with logistic regression (log-mel statistics, "
        "grey values of 24 x 24 pixels, MiniLM's mean token):",
        "",
        "| what | frozen | trained |",
        "|---|---|---|",
        *(f"| {name} | {frozen:.3f} | {trained:.3f} |" for name, frozen, trained in rows),
        "",
        f"RAVDESS folds: {', '.join(f'{uar:.3f}' for uar in folds)}. GoEmotions: {text['train']} "
        f"sentences to train, {text['test']} to test, UAR {text['uar']:.3f} against "
        f"{baselines['goemotions']['uar']:.3f}.",
    ]


def overfit_table(overfit: Any) -> list[str]:
    return [
        f"{overfit['clips']} real clips learned by heart (training loss, dropout on, below 0.05):",
        "",
        "| network | epochs | loss |",
        "|---|---|---|",
        *(
            f"| {name} | {case['epochs']} | {case['train_loss']:.4f} |"
            for name, case in overfit["cases"].items()
        ),
    ]


if __name__ == "__main__":
    main()
