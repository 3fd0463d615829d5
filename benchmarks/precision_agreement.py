"""What fp16 and INT8 do to the decisions of trained networks; writes results/precision-agreement.*.

Every graph of every RUN is converted as ``mer-edge export`` converts it, calibrated on clips of the
data set's training split, and chained on ONNX Runtime (CPU) over the clips of the other splits, one
at a time. The TensorRT recipe's graphs run there too: the same integers, another engine.

    python -m benchmarks.precision_agreement --data DATA RUN [RUN...]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from rich.progress import track
from sklearn.metrics import f1_score

from export.auto.agreement import MixRunner
from export.auto.speed import Candidate
from export.calibration_clips import load_real_clips
from export.chain import absent_text_of, encoder_sizes, run_chain
from export.clip_batch import batch_of
from export.exporter import tokenizer_of
from export.graphs import save_graph, trace_graph
from export.precision.calibration import collect
from export.precision.convert import convert
from export.precision.recipe import Recipe
from export.rewrites import apply_rewrites
from export.runners import OnnxRunner
from export.wrappers import plan_graphs
from mer_edge.checkout import commit
from mer_edge.clip import Clip
from mer_edge.decision import DecisionRule
from mer_edge.files import new_file
from mer_edge.model.checkpoint import Checkpoint, load_checkpoint
from mer_edge.parity.decisions import same_decisions
from mer_edge.processor import describe_int8
from mer_edge.samples.clips import load_sample
from mer_edge.samples.manifest import read_manifest
from mer_edge.samples.sample import Sample
from runtime.bench.machine import processor_name
from train.provenance import versions

RESULTS = Path(__file__).resolve().parent / "results"
WAYS: dict[str, tuple[str, Recipe]] = {
    "fp16": ("fp16", "cpu"),
    "int8 cpu": ("int8", "cpu"),
    "int8 tensorrt": ("int8", "tensorrt"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--data", type=Path, required=True, help="a manifest, or its folder")
    parser.add_argument("--calibration-clips", type=int, default=128, metavar="N")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR")
    args = parser.parse_args()
    calibrate = load_real_clips(args.data, args.calibration_clips, 0, None).calibrate
    samples = [sample for sample in read_manifest(args.data) if sample.split != "train"]
    clips = [load_sample(sample) for sample in track(samples, "reading clips")]
    found = {
        str(run): measure(load_checkpoint(run), calibrate, clips, samples) for run in args.runs
    }
    outcome = {
        "calibration_clips": len(calibrate),
        "clips": len(clips),
        "splits": sorted({sample.split for sample in samples}),
        "runs": found,
        "commit": commit(),
        "processor": processor_name(),
        "int8": describe_int8(),
        "versions": versions(),
    }
    for name, text in (
        ("precision-agreement.json", json.dumps(outcome, indent=1) + "\n"),
        ("precision-agreement.md", as_markdown(outcome)),
    ):
        with new_file(args.out / name, "writing the results") as temporary:
            temporary.write_text(text, encoding="utf-8")
    print(as_markdown(outcome))


def measure(
    run: Checkpoint, calibrate: Sequence[Clip], clips: Sequence[Clip], samples: Sequence[Sample]
) -> dict[str, dict[str, float]]:
    """Per way what becomes of the network's decisions on the clips."""
    with tempfile.TemporaryDirectory() as folder:
        files = write_graphs(run, calibrate, Path(folder))
        logits = run_ways(run, files, clips)
    labels = run.model.config.labels
    truth = np.array([[label in sample.labels for label in labels] for sample in samples])
    rule = run.rule
    reference = rule.probabilities(logits.pop("fp32"))
    f1 = average_f1(truth, rule.decide(reference))
    return {
        way: changes(reference, rule.probabilities(values), rule)
        | {"f1_fp32": f1, "f1": average_f1(truth, rule.decide(rule.probabilities(values)))}
        for way, values in logits.items()
    }


def write_graphs(run: Checkpoint, calibrate: Sequence[Clip], folder: Path) -> dict[Candidate, Path]:
    """Every graph in fp32 and in every way."""
    originals: dict[str, Path] = {}
    for name, plan in plan_graphs(run.model.eval()).items():
        proto, _ = apply_rewrites(name, trace_graph(plan, {}))
        originals[name] = folder / f"{name}.onnx"
        save_graph(proto, originals[name])
    absent, sizes = absent_text_of(run.model), encoder_sizes(run.model.config)
    calibration = collect(calibrate, OnnxRunner(originals), tokenizer_of(run), absent, sizes)
    files: dict[Candidate, Path] = {(name, "fp32"): file for name, file in originals.items()}
    for way, (precision, recipe) in WAYS.items():
        for name, file in originals.items():
            made = convert(name, onnx.load(file), precision, recipe, calibration)
            files[name, way] = folder / f"{name}-{way.replace(' ', '-')}.onnx"
            save_graph(made.proto, files[name, way])
    return files


def run_ways(
    run: Checkpoint, files: dict[Candidate, Path], clips: Sequence[Clip]
) -> dict[str, NDArray[np.float32]]:
    """Per way, and for fp32, the logits of every clip: (clips, labels)."""
    runner, tokenizer = MixRunner(files), tokenizer_of(run)
    absent, sizes = absent_text_of(run.model), encoder_sizes(run.model.config)
    rows: dict[str, list[NDArray[np.float32]]] = {way: [] for way in ("fp32", *WAYS)}
    for clip in track(clips, "clips"):
        batch = batch_of([clip], tokenizer)
        runner.forget()
        for way, logits in rows.items():
            runner.precisions = {graph: way for graph, precision in files if precision == way}
            fused = run_chain(runner, batch, absent, sizes)["fusion"]
            logits.append(fused["logits"].astype(np.float32))
    return {way: np.concatenate(logits) for way, logits in rows.items()}


def changes(
    reference: NDArray[np.float64], found: NDArray[np.float64], rule: DecisionRule
) -> dict[str, float]:
    same = same_decisions(reference, found, rule)
    change = np.abs(found - reference)
    return {
        "agreement": float(same.mean()),
        "clip_agreement": float(same.all(1).mean()),
        "max_probability_change": float(change.max()),
        "mean_probability_change": float(change.mean()),
    }


def average_f1(truth: NDArray[np.bool_], said: NDArray[np.bool_]) -> float:
    return float(f1_score(truth, said, average="macro", zero_division=0))


def as_markdown(outcome: dict[str, Any]) -> str:
    runs = outcome["runs"]
    lines = [
        "# Decisions of trained networks in fp16 and INT8",
        "",
        f"`python -m benchmarks.precision_agreement --data DATA RUN...`, commit "
        f"`{outcome['commit'][:12]}`, onnxruntime {outcome['versions']['onnxruntime']}. "
        f"Processor: {outcome['processor']}, {outcome['int8']}. "
        f"{len(runs)} trained runs, each on {outcome['clips']} clips of the splits "
        f"{' and '.join(outcome['splits'])}, calibrated on {outcome['calibration_clips']} others. "
        "Against the same network in fp32, one clip at a time, ONNX Runtime on the CPU (the "
        "TensorRT recipe too: its graphs, not its engine). Agreement counts label decisions.",
        "",
        "| precision | agreement, % | least of the runs, % | mean probability change | max | "
        "average F1 lost, mean | most of the runs |",
        "|---|---|---|---|---|---|---|",
    ]
    for way in WAYS:
        rows = [run[way] for run in runs.values()]
        agreement = [100 * row["agreement"] for row in rows]
        lost = [row["f1_fp32"] - row["f1"] for row in rows]
        lines.append(
            f"| {way} | {statistics.mean(agreement):.2f} | {min(agreement):.2f} | "
            f"{statistics.mean(row['mean_probability_change'] for row in rows):.4f} | "
            f"{max(row['max_probability_change'] for row in rows):.4f} | "
            f"{statistics.mean(lost):+.4f} | {max(lost):+.4f} |"
        )
    return "\n".join([*lines, "", *(f"- `{run}`" for run in runs)]) + "\n"


if __name__ == "__main__":
    main()
