"""What an export costs: wall time, peak memory and size per precision; writes
results/export-cost.{json,md}.

The preset with random weights, whole commands in processes of their own, one after the other. INT8
is calibrated on, and the gate of every precision but fp32 compares on, clips of DATA.

    python -m benchmarks.export_cost --data DATA --tokenizer FILE [--preset paper]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mer_edge.checkout import commit
from mer_edge.files import new_file
from mer_edge.model.build import build_model
from mer_edge.model.checkpoint import save_checkpoint
from mer_edge.model.config import PRESETS
from runtime.bench.stability import load_average
from train.provenance import versions

RESULTS = Path(__file__).resolve().parent / "results"
SEED = 1
PRECISIONS = ("fp32", "fp16", "int8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a manifest, or its folder")
    parser.add_argument("--tokenizer", type=Path, required=True, help="a BERT's tokenizer.json")
    parser.add_argument("--preset", default="paper", choices=sorted(PRESETS))
    parser.add_argument("--calibration-clips", type=int, default=64, metavar="N")
    parser.add_argument("--precisions", nargs="+", default=PRECISIONS, metavar="P")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        config = PRESETS[args.preset]
        model, _ = build_model(config, seed=SEED)
        thresholds = [0.5] * len(config.labels)
        save_checkpoint(run, model.eval(), args.tokenizer.read_text(), thresholds, "random", {})
        del model
        rows = [export(run, Path(folder) / "bundle", name, args) for name in args.precisions]
    outcome = {
        "preset": args.preset,
        "calibration_clips": args.calibration_clips,
        "results": rows,
        "cores": len(os.sched_getaffinity(0)),
        "load_average_at_end": load_average(),
        "system": platform.platform(terse=True),
        "commit": commit(),
        "versions": versions(),
    }
    for name, text in (
        ("export-cost.json", json.dumps(outcome, indent=1) + "\n"),
        ("export-cost.md", as_markdown(outcome)),
    ):
        with new_file(args.out / name, "writing the results") as temporary:
            temporary.write_text(text, encoding="utf-8")
    print(as_markdown(outcome))


def export(run: Path, out: Path, precision: str, args: argparse.Namespace) -> dict[str, Any]:
    """One export in a process; peak memory is that of the largest process so far."""
    command = [sys.executable, "-m", "mer_edge", "export", str(run), "--out", str(out)]
    command += ["--overwrite", "--json", "--precision", precision]
    if precision != "fp32":
        command += ["--calibrate", str(args.data)]
        command += ["--calibration-clips", str(args.calibration_clips)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    wall_s = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = json.loads(ran.stdout)
    return {
        "precision": precision,
        "wall_s": wall_s,
        "processor_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak_mb": after.ru_maxrss / 1e3,
        "bundle_mb": said["bytes"] / 1e6,
        "real_clips": said["parity"]["real_clips"],
        "max_abs_logit_difference": said["parity"]["max_abs_logit_difference"],
    }


def as_markdown(outcome: dict[str, Any]) -> str:
    lines = [
        f"# What an export of `{outcome['preset']}` costs",
        "",
        f"`python -m benchmarks.export_cost`, commit `{outcome['commit'][:12]}`, "
        f"{outcome['cores']} cores, load {outcome['load_average_at_end'][0]:.1f} at the end, "
        f"torch {outcome['versions']['torch']}. Random weights; whole commands with their "
        f"gate; INT8 from {outcome['calibration_clips']} clips. Peak memory: of the "
        "largest export so far.",
        "",
        "| precision | wall, s | processor, s | peak, MB | bundle, MB | real clips compared | "
        "largest logit difference |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['precision']} | {row['wall_s']:.0f} | {row['processor_s']:.0f} | "
        f"{row['peak_mb']:.0f} | {row['bundle_mb']:.1f} | {row['real_clips']} | "
        f"{row['max_abs_logit_difference']:.2g} |"
        for row in outcome["results"]
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
