"""Builds TensorRT-RTX engines of a preset's graphs in every precision, without a GPU.

Random weights from a seed; INT8 is calibrated on the tracer's example inputs, which is enough to
build and says nothing of accuracy. Each build is a child process, as in ``mer-edge build``; its
peak memory is the child's. Writes results/build-engines-PRESET.json.

    python benchmarks/build_engines.py --preset paper
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import onnx
from rich.console import Console

from export.graphs import save_graph, trace_graph
from export.manifest import provenance, shape_ranges
from export.precision.calibration import CalibrationSet
from export.precision.convert import convert
from export.tensorrt.builder import BuildRequest
from export.tensorrt.child import run_in_child
from export.tensorrt.profiles import input_profiles
from export.wrappers import plan_graphs
from mer_edge.bundle import GraphSpec
from mer_edge.engine_keys import dimension_ranges
from mer_edge.errors import MerEdgeError
from mer_edge.files import new_file
from mer_edge.model.build import build_model
from mer_edge.model.config import PRESETS, ModelConfig
from runtime.bench.stability import load_average

RESULTS = Path(__file__).resolve().parent / "results"
FLAVOUR = "tensorrt-rtx"
PRECISIONS = ("fp32", "fp16", "int8")


def main() -> int:
    """Returns 0 when every graph is built in every precision, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--preset", choices=sorted(PRESETS), default="paper")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workspace-mb", type=int)
    parser.add_argument("--out", type=Path, help="default: results/build-engines-PRESET.json")
    args = parser.parse_args()
    out = args.out or RESULTS / f"build-engines-{args.preset}.json"
    console = Console(stderr=True)
    rows = []
    with tempfile.TemporaryDirectory(prefix="mer-edge-engines-") as folder:
        for row in measure(PRESETS[args.preset], args.seed, args.workspace_mb, Path(folder)):
            rows.append(row)
            console.print(_line(row), markup=False, highlight=False)
    with new_file(out, "writing the result") as temporary:
        outcome = describe(args.preset, args.seed, args.workspace_mb, rows)
        temporary.write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")
    failed = sum("refused" in row for row in rows)
    print(f"{out}: {len(rows) - failed} of {len(rows)} graphs built")
    return 1 if failed else 0


def measure(
    config: ModelConfig, seed: int, workspace_mb: int | None, folder: Path
) -> Iterator[dict[str, Any]]:
    """A row for each graph and precision, as they are built."""
    model, _ = build_model(config, seed=seed)
    ranges = shape_ranges(config)
    for name, plan in plan_graphs(model.eval()).items():
        proto = trace_graph(plan, {})
        feeds = {k: v.numpy() for k, v in plan.example.items()}
        clips = CalibrationSet(1, {name: [feeds]})
        for precision in PRECISIONS:
            row: dict[str, Any] = {"graph": name, "asked": precision}
            try:
                made = convert(name, proto, precision, "tensorrt", clips)
                spec = save_graph(made.proto, folder / f"{name}.onnx", made.precision)
                row |= {"precision": made.precision, "onnx_bytes": _size(folder, spec.file)}
                row |= _build(name, spec, ranges, workspace_mb, folder)
            except MerEdgeError as error:
                row["refused"] = str(error).replace(str(folder), "")
            yield row


def _build(
    name: str, spec: GraphSpec, ranges: Any, workspace_mb: int | None, folder: Path
) -> dict[str, Any]:
    dimensions = dimension_ranges(name, spec, ranges)
    request = BuildRequest(
        flavour=FLAVOUR,
        graph=name,
        onnx=str(folder / spec.file),
        plan=str(folder / "engine.plan"),
        profiles=input_profiles(spec, dimensions),
        workspace_mb=workspace_mb,
    )
    started = time.perf_counter()
    answer = run_in_child("build", asdict(request), f"building the graph {name}")
    return {
        "nodes": len(onnx.load(folder / spec.file, load_external_data=False).graph.node),
        "build_seconds": round(answer["seconds"], 2),
        "child_seconds": round(time.perf_counter() - started, 2),
        "engine_bytes": _size(folder, "engine.plan"),
        # Of the largest child so far: children of one process are not told apart.
        "children_peak_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
    }


def describe(
    preset: str, seed: int, workspace_mb: int | None, rows: list[dict[str, Any]]
) -> dict[str, Any]:
    """The rows, the machine and the versions."""
    found = run_in_child("describe", {"flavour": FLAVOUR}, "trying TensorRT-RTX")
    return {
        "what": "ONNX graphs parsed and built into TensorRT-RTX engines; none was run",
        "preset": preset,
        "weights": f"random, seed {seed}",
        "workspace_mb": workspace_mb,
        "gpu": found["gpu"],
        "load_average": round(load_average()[0], 1),
        "cores": os.cpu_count(),
        "system": platform.platform(terse=True),
        "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": provenance({}) | {FLAVOUR: found["version"]},
        "rows": rows,
    }


def _size(folder: Path, file: str) -> int:
    return (folder / file).stat().st_size


def _line(row: dict[str, Any]) -> str:
    head = f"{row['graph']:<7} {row['asked']:<5}"
    if "refused" in row:
        return f"{head} refused: {row['refused'][:200]}"
    return (
        f"{head} {row['onnx_bytes'] / 1e6:7.1f} MB -> {row['engine_bytes'] / 1e6:7.1f} MB "
        f"in {row['build_seconds']:.1f} s"
    )


if __name__ == "__main__":
    raise SystemExit(main())
