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

from benchmarks.real_signals.data import SEGMENTS
from benchmarks.real_signals.tables import FULL, page, series
from mer_edge.files import new_file
from mer_edge.segments import SEGMENT_S
from train.evaluation.significance import paired_t_test
from train.provenance import versions

RESULTS = Path(__file__).resolve().parents[1] / "results"
FOLDS = 5
TEACHER = "grid/variants/mer-mbt/seed-2"
"""The run of the best validation F1 of all."""


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
        "faces": uar(runs / "runs/faces.json"),
        "ravdess": folds(runs / "runs/ravdess"),
        "spoken_s": SEGMENTS * SEGMENT_S,
        "students": students(runs),
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


def uar(evaluation: Path) -> float | None:
    """The mean share of each class that the most probable label finds, as ``evaluate`` says it."""
    if not evaluation.exists():
        return None
    return float(read(evaluation)["subjects"][0]["classes"]["unweighted_average_recall"])


def folds(folder: Path) -> dict[str, float]:
    """The unweighted recall on each fold that has been evaluated, by its number."""
    found = {str(fold): uar(folder / f"fold-{fold}.json") for fold in range(1, FOLDS + 1)}
    return {fold: value for fold, value in found.items() if value is not None}


def students(runs: Path) -> dict[str, Any] | None:
    """The figures of each seed, alone and taught, and the teacher's; None before two of both."""
    alone, taught = (
        read_if_there(runs / "grid" / name / "ablation.json") for name in ("student", "distilled")
    )
    if not (alone and taught and min(len(alone["runs"]), len(taught["runs"])) > 1):
        return None
    teacher = read(runs / TEACHER / "report.json")
    variant, seed = Path(TEACHER).parent.name, int(TEACHER.rsplit("-", 1)[1])
    (figures,) = (
        {**run["figures"], "parameters": run["parameters"]}
        for run in read(runs / "grid/variants/ablation.json")["runs"]
        if (run["cell"], run["seed"]) == (variant, seed)
    )
    return {
        "epochs": alone["options"]["epochs"],
        "alone": by_seed(alone),
        "taught": by_seed(taught),
        "teacher": {**figures, "valid_f1": teacher["valid"]["tuned"]["f1"]},
    }


def by_seed(ablation: Any) -> dict[str, dict[str, float]]:
    return {
        str(run["seed"]): {**run["figures"], "parameters": run["parameters"]}
        for run in ablation["runs"]
    }


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


if __name__ == "__main__":
    main()
