"""The demo once per seed; writes results/demo-accuracy.json and .md.

Accuracy is that of the most probable label over the generated clips that the model has not seen.
A seed decides data and training. Takes a demo's time per seed.

    python benchmarks/demo_accuracy.py
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mer_edge.checkout import commit
from mer_edge.cli.demo import CLIPS, make_demo
from mer_edge.cli.progress import Bars
from mer_edge.files import new_file
from train.provenance import versions

RESULTS = Path(__file__).resolve().parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--clips", type=int, default=CLIPS)
    parser.add_argument("--out", type=Path, default=RESULTS / "demo-accuracy.json")
    args = parser.parse_args()
    runs = [measure(seed, args.clips) for seed in args.seeds]
    summary = summarise(runs)
    write(args.out, json.dumps(summary, indent=1) + "\n")
    write(args.out.with_suffix(".md"), table(summary))
    print(table(summary))


def measure(seed: int, clips: int) -> dict[str, Any]:
    """One demo in a folder of its own, with wall time and processor time (children included)."""
    started, before = time.perf_counter(), processor_s()
    with tempfile.TemporaryDirectory() as folder, Bars() as bars:
        outcome, _ = make_demo(Path(folder), clips, seed, bars)
        modalities = alone(Path(folder))
    return {
        **asdict(outcome),
        "alone": modalities,
        "wall_s": round(time.perf_counter() - started, 1),
        "processor_s": round(processor_s() - before, 1),
    }


def alone(folder: Path) -> dict[str, float]:
    """How often each modality's own most probable label is right, where it is present."""
    truth = {}
    for line in (folder / "data/manifest.jsonl").read_text(encoding="utf-8").splitlines():
        sample = json.loads(line)
        truth[f"data/{sample['media']}"] = sample["labels"]
    right: dict[str, list[bool]] = {}
    for line in (folder / "results.jsonl").read_text(encoding="utf-8").splitlines():
        result = json.loads(line)
        for name, say in result["modalities"].items():
            if say["present"]:
                top = max(say["probabilities"], key=say["probabilities"].get)
                right.setdefault(name, []).append(top in truth[result["source"]])
    return {name: sum(hits) / len(hits) for name, hits in right.items()}


def processor_s() -> float:
    """Processor seconds of this process and of its ended children."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def summarise(runs: list[dict[str, Any]]) -> dict[str, Any]:
    accuracies = [run["accuracy"] for run in runs]
    return {
        "accuracy_mean": statistics.mean(accuracies),
        "accuracy_min": min(accuracies),
        "accuracy_max": max(accuracies),
        "accuracy_stdev": statistics.stdev(accuracies) if len(runs) > 1 else None,
        "chance": runs[0]["chance"],
        "runs": runs,
        "processors": os.cpu_count(),
        "machine": platform.machine(),
        "versions": versions(),
        "commit": commit(),
    }


def table(summary: dict[str, Any]) -> str:
    lines = [
        "# Accuracy of the demo on generated clips it has not seen",
        "",
        f"`python benchmarks/demo_accuracy.py`, commit `{summary['commit'][:12]}`, "
        f"{summary['processors']} processors ({summary['machine']}), "
        f"torch {summary['versions']['torch']}, onnxruntime {summary['versions']['onnxruntime']}.",
        "Drawings and a synthetic voice: a figure about the path, not about emotions.",
        "",
        "| seed | right | accuracy | audio alone | visual alone | text alone | wall s "
        "| processor s | MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for run in summary["runs"]:
        alone = [f"{run['alone'].get(name, 0):.2f}" for name in ("audio", "visual", "text")]
        lines.append(
            f"| {run['seed']} | {run['correct']} of {run['unseen_clips']} | {run['accuracy']:.2f} "
            f"| {' | '.join(alone)} | {run['wall_s']:.0f} | {run['processor_s']:.0f} "
            f"| {run['megabytes']:.0f} |"
        )
    spread = summary["accuracy_stdev"]
    lines += [
        "",
        f"Mean {summary['accuracy_mean']:.3f}, lowest {summary['accuracy_min']:.3f}, highest "
        f"{summary['accuracy_max']:.3f}"
        + (f", standard deviation {spread:.3f}" if spread is not None else "")
        + f"; chance {summary['chance']:.2f}.",
    ]
    return "\n".join(lines) + "\n"


def write(file: Path, text: str) -> None:
    with new_file(file, "writing the result") as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
