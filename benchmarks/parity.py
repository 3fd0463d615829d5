"""PyTorch against the four chained ONNX graphs on the full grid; writes results/parity-*.json.

112 cases: clips of 1, 2, 5 and 40 segments, 3 and 128 tokens, batches of 1 and 4 ragged clips, all
seven subsets of the modalities. Random weights from a seed, random clips, ONNX Runtime CPU.

    python benchmarks/parity.py --preset paper
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress

from export.cases import FULL_GRID, Case, cases_of
from export.graphs import write_graph
from export.manifest import provenance
from export.parity import TOLERANCE, CaseResult, ParityCheck, ParityReport
from export.wrappers import plan_graphs
from mer_edge.files import new_file
from mer_edge.model.build import build_model
from mer_edge.model.config import PRESETS, ModelConfig

RESULTS = Path(__file__).resolve().parent / "results"


def main() -> int:
    """Returns 0 when every case is finite and within the tolerance, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--preset", choices=sorted(PRESETS), default="paper")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="default: results/parity-PRESET.json")
    args = parser.parse_args()
    out = args.out or RESULTS / f"parity-{args.preset}.json"
    report, seconds = measure(PRESETS[args.preset], args.seed)
    outcome = describe(report, args.preset, args.seed, seconds)
    with new_file(out, "writing the result") as temporary:
        temporary.write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")
    print(
        f"{out}: {len(report.results)} cases, largest logit difference "
        f"{report.max_abs_logit_difference:.3g} ({report.tolerance:g} allowed)"
    )
    return 0 if report.passed else 1


def measure(config: ModelConfig, seed: int) -> tuple[ParityReport, dict[str, float]]:
    """Export a random model and compare it on the full grid; the seconds each part took."""
    model, _ = build_model(config, seed=seed)
    model.eval()
    started = time.perf_counter()
    plans = plan_graphs(model)
    cases = list(cases_of(FULL_GRID))
    with tempfile.TemporaryDirectory() as folder, Progress() as bar:
        files = {name: Path(folder) / f"{name}.onnx" for name in plans}
        for name, plan in bar.track(plans.items(), description="tracing"):
            write_graph(plan, files[name], {})
        traced = time.perf_counter()
        task = bar.add_task("comparing", total=len(cases))
        check = ParityCheck(model, plans, files, seed)
        report = check.run(cases, TOLERANCE, lambda case: bar.advance(task))
    compared = time.perf_counter()
    return report, {"tracing": round(traced - started, 1), "comparing": round(compared - traced, 1)}


def describe(
    report: ParityReport, preset: str, seed: int, seconds: dict[str, float]
) -> dict[str, Any]:
    """The result as plain values, the machine and the versions with it."""
    return {
        "what": "MerModel.forward against four chained ONNX graphs, absolute differences",
        "preset": preset,
        "weights": f"random, seed {seed}",
        "tolerance": report.tolerance,
        "passed": report.passed,
        "cases": len(report.results),
        "max_abs_logit_difference": report.max_abs_logit_difference,
        "largest_logit": max(r.logits.reference_max_abs for r in report.results),
        "worst": _row(report.worst),
        "seconds": seconds,
        "device": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "torch_threads": torch.get_num_threads(),
            "system": platform.platform(terse=True),
        },
        "versions": provenance({}),
        "results": [_row(result) for result in report.results],
    }


def _row(result: CaseResult) -> dict[str, Any]:
    return {
        **_case(result.case),
        "finite": all(c.finite for c in (result.logits, result.decisions, result.weights)),
        "logits": {k: v for k, v in asdict(result.logits).items() if k not in ("name", "finite")},
        "decisions_max_abs": result.decisions.max_abs,
        "weights_max_abs": result.weights.max_abs,
    }


def _case(case: Case) -> dict[str, Any]:
    return {**asdict(case.shape), "present": "+".join(case.present[0])}


def _processor() -> str:
    """The processor's name as Linux tells it, else what Python knows."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    raise SystemExit(main())
