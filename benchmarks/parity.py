"""PyTorch against the four chained ONNX graphs on the full grid; writes results/parity-*.json.

112 cases: clips of 1, 2, 5 and 40 segments, 3 and 128 tokens, batches of 1 and 4 ragged clips, all
seven subsets of the modalities; and what every export is measured on besides, up to the longest
shapes. Random weights from a seed, random clips, ONNX Runtime CPU.

    python benchmarks/parity.py --preset paper
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import torch

from export.cases import FULL_GRID, cases_of
from export.gate import GateReport, run_gate
from export.graphs import write_graph
from export.manifest import provenance
from export.wrappers import plan_graphs
from mer_edge.cli.progress import Bars
from mer_edge.decision import DecisionRule
from mer_edge.files import new_file
from mer_edge.model.build import build_model
from mer_edge.model.config import PRESETS, ModelConfig
from mer_edge.parity.report import Measured, ParityReport
from mer_edge.parity.table import print_parity
from runtime.bench.machine import described_processor

CHAIN_LOGITS = ("chain", "logits")
RESULTS = Path(__file__).resolve().parent / "results"


def main() -> int:
    """Returns 0 when everything is finite and within its limits, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--preset", choices=sorted(PRESETS), default="paper")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="default: results/parity-PRESET.json")
    args = parser.parse_args()
    out = args.out or RESULTS / f"parity-{args.preset}.json"
    report, seconds = measure(PRESETS[args.preset], args.seed)
    outcome = describe(report.parity, args.preset, args.seed, seconds)
    with new_file(out, "writing the result") as temporary:
        temporary.write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")
    print_parity(report.to_manifest())
    print(f"{out}: {report.parity.cases} cases in {seconds['comparing']} s")
    return 0 if report.passed else 1


def measure(config: ModelConfig, seed: int) -> tuple[GateReport, dict[str, float]]:
    """Export a random model and compare it on the full grid; the seconds each part took."""
    model, _ = build_model(config, seed=seed)
    model.eval()
    started = time.perf_counter()
    plans = plan_graphs(model)
    with tempfile.TemporaryDirectory() as folder, Bars() as bars:
        files = {name: Path(folder) / f"{name}.onnx" for name in plans}
        for done, (name, plan) in enumerate(plans.items(), 1):
            write_graph(plan, files[name], {})
            bars.step("tracing", done, len(plans), name)
        traced = time.perf_counter()
        report = run_gate(
            model,
            plans,
            files,
            dict.fromkeys(files, "fp32"),
            DecisionRule("multilabel", (0.5,) * len(config.labels)),
            progress=lambda what, done, total: bars.step("comparing", done, total, what),
            cases=list(cases_of(FULL_GRID)),
            seed=seed,
        )
    compared = time.perf_counter()
    return report, {"tracing": round(traced - started, 1), "comparing": round(compared - traced, 1)}


def describe(
    report: ParityReport, preset: str, seed: int, seconds: dict[str, float]
) -> dict[str, Any]:
    """The result as plain values, the machine and the versions with it."""
    logits = [m.comparison for m in report.measured if (m.part, m.comparison.name) == CHAIN_LOGITS]
    return {
        "what": "the network in PyTorch against its ONNX graphs, alone and chained",
        "preset": preset,
        "weights": f"random, seed {seed}",
        "passed": report.passed,
        "cases": report.cases,
        "max_abs_logit_difference": report.max_abs_logit_difference,
        "largest_logit": max(found.reference_max_abs for found in logits),
        "peak_memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        "seconds": seconds,
        "device": {
            "processor": described_processor(),
            "cores": os.cpu_count(),
            "torch_threads": torch.get_num_threads(),
            "system": platform.platform(terse=True),
        },
        "versions": provenance({}),
        "parity": msgspec.to_builtins(report.to_parity()),
        "results": [_row(one) for one in report.measured],
    }


def _row(one: Measured) -> dict[str, Any]:
    found = one.comparison
    return {
        "part": one.part,
        "case": one.case,
        "tensor": found.name,
        "max_abs": found.max_abs,
        "mean_abs": found.mean_abs,
        "cosine": found.cosine,
    }


if __name__ == "__main__":
    raise SystemExit(main())
