"""The bundle's graphs on OpenVINO and on ONNX Runtime, in turns; writes
results/openvino-graphs.{json,md}: whether OpenVINO should be a backend.

    python benchmarks/openvino_graphs.py BUNDLE [BUNDLE ...]

Two threads each. OpenVINO computes fp32 graphs in fp32 and in bf16, INT8 graphs as they are.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from rich.progress import track

from benchmarks.chain_page import table
from benchmarks.outcome import publish
from benchmarks.side_by_side import GRAPHS, PAUSE_S, TOKENS, Feed, open_graph, random_feed
from mer_edge.bundle import Bundle
from mer_edge.checkout import commit
from runtime.bench.machine import read_machine
from runtime.bench.stability import Watch

RESULTS = Path(__file__).resolve().parent / "results"
THREADS = 2
OURS = "ONNX Runtime"
HINTS = {"fp32": ("f32", "bf16"), "int8": ("f32",)}
"""What OpenVINO computes in where a graph does not say; eight bits are in the graph."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE")
    parser.add_argument("--segments", type=int, default=5, metavar="N", help="default: 5")
    parser.add_argument("--rounds", type=int, default=30, metavar="N", help="default: 30")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR")
    args = parser.parse_args()
    watch, rows = Watch(), []
    for path in args.bundles:
        bundle = Bundle.load(path)
        for name in GRAPHS:
            rows += measure(bundle, name, args, watch)
    machine = read_machine()
    outcome = {
        "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "processor": f"{machine.processor} ({', '.join(machine.instruction_sets)})",
        "versions": {OURS: machine.versions["onnxruntime"], "OpenVINO": openvino.__version__},
        "segments": args.segments,
        "rounds": args.rounds,
        "stability": asdict(watch.judge()),
        "rows": rows,
    }
    publish(outcome, as_markdown(outcome), args.out, "openvino-graphs")
    return 0


def measure(
    bundle: Bundle, name: str, args: argparse.Namespace, watch: Watch
) -> list[dict[str, Any]]:
    """A row for each engine and precision."""
    session = open_graph(bundle, name, THREADS)
    feed = random_feed(session, args.segments)
    precision = bundle.manifest.graphs[name].precision
    runs: dict[str, Callable[[], object]] = {OURS: lambda: session.run(None, feed)}
    for hint in HINTS[precision]:
        runs[f"OpenVINO, {hint if precision == 'fp32' else precision}"] = on_openvino(
            bundle.graph_path(name), feed, hint
        )
    spent_ms: dict[str, list[float]] = {way: [] for way in runs}
    for _ in track(range(args.rounds), description=f"{bundle.path.name}, {name}"):
        watch.loop()
        for way, run in runs.items():
            run()  # what others left in the caches is not its fault
            started = time.perf_counter()
            run()
            spent_ms[way].append((time.perf_counter() - started) * 1e3)
            time.sleep(PAUSE_S)
    return [
        {
            "graph": name,
            "precision": precision,
            "way": way,
            "least_ms": round(min(values), 2),
            "median_ms": round(float(np.median(values)), 2),
        }
        for way, values in spent_ms.items()
    ]


def on_openvino(file: Path, feed: Feed, hint: str) -> Callable[[], object]:
    config = {
        "INFERENCE_PRECISION_HINT": hint,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": THREADS,
    }
    request = openvino.Core().compile_model(str(file), "CPU", config).create_infer_request()
    return lambda: request.infer(feed, share_inputs=True)


def as_markdown(outcome: dict[str, Any]) -> str:
    rows = [
        [row["graph"], row["precision"], row["way"], f"{row['least_ms']}, {row['median_ms']}"]
        for row in outcome["rows"]
    ]
    sums: dict[str, list[float]] = {}
    for row in outcome["rows"]:
        key = row["way"] if row["way"] != OURS else f"{OURS}, {row['precision']}"
        least, median = sums.setdefault(key, [0.0, 0.0])
        sums[key] = [least + row["least_ms"], median + row["median_ms"]]
    versions = ", ".join(f"{name} {version}" for name, version in outcome["versions"].items())
    lines = [
        "# The graphs on OpenVINO",
        "",
        f"`python benchmarks/openvino_graphs.py`, {outcome['measured']}, commit "
        f"`{outcome['commit'][:12]}`, {outcome['processor']}, {THREADS} threads; {versions}; "
        f"{outcome['segments']} segments, {TOKENS} tokens. Least and median milliseconds of "
        f"{outcome['rounds']} rounds in turn.",
        "",
        table(["all graphs but fusion", "least, median ms"],
              [[way, f"{least:.1f}, {median:.1f}"] for way, (least, median) in sums.items()]),
        "",
        table(["graph", "precision", "engine", "least, median ms"], rows),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
