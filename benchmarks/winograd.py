"""Winograd's convolutions against ONNX Runtime's own; writes results/winograd.{json,md}.

The fp32 encoders of presets, random weights, as an export for the CPU has them, with
(``export.rewrites.winograd``) and without, in turns in one process: wall times of the graphs, how
far their outputs differ, and how long they take to load.

    python benchmarks/winograd.py [--presets paper edge] [--segments 1 5 20] [--threads 1 2]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from rich.progress import Progress

from benchmarks.chain_page import table
from benchmarks.outcome import publish
from benchmarks.rewrites.exact import trace
from benchmarks.rewrites.timing import in_turn, open_session, random_feed
from export.rewrites import apply_cpu_fp32_rewrites, apply_rewrites
from mer_edge.checkout import commit
from runtime.bench.machine import read_machine
from runtime.bench.stability import Watch

RESULTS = Path(__file__).resolve().parent / "results"
GRAPHS = ("audio", "visual_stem", "visual")
TOKENS = 32


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--presets", nargs="+", default=["paper", "edge"], metavar="NAME")
    parser.add_argument("--segments", nargs="+", type=int, default=[1, 5, 20], metavar="N")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], metavar="N")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="default: 9")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR")
    args = parser.parse_args()
    with Progress() as progress:
        outcome = measure(args, progress)
    publish(outcome, as_markdown(outcome), args.out, "winograd")
    return 0


def measure(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """A row a preset, graph, number of threads and of segments."""
    task = progress.add_task("in turns", total=len(args.presets) * len(GRAPHS) * len(args.threads))
    watch = Watch()
    rows = []
    for preset in args.presets:
        for graph, traced in trace(preset, "spatial", GRAPHS).items():
            before, _ = apply_rewrites(graph, traced)
            after, applied = apply_cpu_fp32_rewrites(graph, before)
            for threads in args.threads:
                if applied:
                    made = compare(before, after, threads, args, watch)
                    rows += [{"preset": preset, "graph": graph, **row} for row in made]
                progress.advance(task)
    if not rows:
        raise SystemExit(
            f"error: {', '.join(args.presets)}: no convolution of theirs is rewritten; expected a "
            "preset with wide layers, such as paper"
        )
    latencies = [row["times"]["after"] for row in rows]
    tail = max(one["ms"] / one["least_ms"] for one in latencies)
    return {
        "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "processor": read_machine().processor,
        "onnxruntime": read_machine().versions["onnxruntime"],
        "rounds": args.rounds,
        "stability": asdict(watch.judge({"the graphs": tail})),
        "rows": rows,
    }


def compare(
    before: onnx.ModelProto,
    after: onnx.ModelProto,
    threads: int,
    args: argparse.Namespace,
    watch: Watch,
) -> list[dict[str, Any]]:
    files = {"before": before.SerializeToString(), "after": after.SerializeToString()}
    sessions, load_ms = {}, {}
    for name, content in files.items():
        started = time.perf_counter()
        sessions[name] = open_session(content, threads)
        load_ms[name] = round((time.perf_counter() - started) * 1e3, 1)
    rows = []
    for segments in args.segments:
        feed = random_feed(before, {"segments": segments, "tokens": TOKENS})
        (expected,), (found,) = (session.run(None, feed) for session in sessions.values())
        runs: dict[str, Callable[[], object]] = {
            name: partial(session.run, None, feed) for name, session in sessions.items()
        }
        watch.loop()
        rows.append(
            {
                "threads": threads,
                "segments": segments,
                "times": in_turn(runs, args.rounds, time.perf_counter),
                "difference": float(np.abs(found - expected).max() / np.abs(expected).max()),
                "load_ms": load_ms,
                "bytes": {name: len(content) for name, content in files.items()},
            }
        )
    return rows


def as_markdown(outcome: dict[str, Any]) -> str:
    stability = outcome["stability"]
    verdict = "quiet" if not stability["noisy"] else "noisy: " + "; ".join(stability["reasons"])
    rows = [
        [
            row["preset"],
            row["graph"],
            str(row["threads"]),
            str(row["segments"]),
            *(f"{row['times'][name]['ms']:.1f}" for name in ("before", "after")),
            f"**{1 / row['times']['after']['ratio']:.2f} x**",
            f"{row['difference']:.0e}",
            *(f"{row['load_ms'][name]:.0f}" for name in ("before", "after")),
        ]
        for row in outcome["rows"]
    ]
    head = (
        "preset", "graph", "threads", "segments", "own, ms", "Winograd, ms", "times as fast",
        "largest difference", "load own, ms", "load Winograd, ms",
    )  # fmt: skip
    return (
        "\n\n".join(
            [
                "# Convolutions by Winograd's filtering, fp32 on the CPU",
                f"`python benchmarks/winograd.py`, {outcome['measured']}, commit "
                f"`{outcome['commit'][:12]}`, {outcome['processor']}, ONNX Runtime "
                f"{outcome['onnxruntime']}; whole graphs, random weights, medians of "
                f"{outcome['rounds']} rounds in turn, the factor that of the rounds; the "
                "difference as a share of the largest output. Loading includes the transform of "
                "the filters. The "
                f"machine was {verdict}.",
                table(head, rows),
            ]
        )
        + "\n"
    )


if __name__ == "__main__":
    raise SystemExit(main())
