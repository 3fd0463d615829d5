"""How near each graph comes to the machine's ceilings; writes results/roofline.{json,md,png}.

    python benchmarks/roofline_page.py --fp32 BUNDLE --int8 BUNDLE

Graphs and ceilings are measured in turn in one session; of each the best run counts, because a
ceiling is what is possible.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec
import onnx
from rich.progress import track

from benchmarks.chain_against_peers import write
from benchmarks.chain_page import table
from benchmarks.rewrites.timing import Feed, open_session, random_feed
from benchmarks.roofline.ceilings import TRIES, moving, product
from benchmarks.roofline.picture import draw_roofline
from benchmarks.roofline.work import Work, count_work
from mer_edge.bundle import GRAPHS, Bundle
from mer_edge.checkout import commit
from runtime.bench.machine import read_machine
from runtime.bench.report import bundle_facts
from runtime.bench.stability import Watch

RESULTS = Path(__file__).resolve().parent / "results"
CEILINGS = ("fp32", "int8", "copy", "read")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fp32", type=Path, required=True, metavar="BUNDLE")
    parser.add_argument("--int8", type=Path, required=True, metavar="BUNDLE")
    parser.add_argument("--segments", type=int, default=5, metavar="N")
    parser.add_argument("--tokens", type=int, default=32, metavar="N")
    parser.add_argument("--threads", type=int, default=2, metavar="N")
    parser.add_argument("--rounds", type=int, default=30, metavar="N", help="default: 30")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR")
    args = parser.parse_args()
    outcome = measure(args)
    write(args.out / "roofline.json", json.dumps(outcome, indent=1) + "\n")
    write(args.out / "roofline.md", as_markdown(outcome))
    draw_roofline(outcome, args.out / "roofline.png")
    print(as_markdown(outcome))
    return 0


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Work counted, times and ceilings measured; plain values."""
    machine = msgspec.to_builtins(read_machine())
    runs: dict[str, Callable[[], float]] = {
        kind: (product if kind in ("fp32", "int8") else moving)(kind, args.threads)
        for kind in CEILINGS
    }
    works: dict[tuple[str, str], Work] = {}
    bundles = {"fp32": Bundle.load(args.fp32), "int8": Bundle.load(args.int8)}
    for precision, bundle in bundles.items():
        for graph in (name for name in GRAPHS if name in bundle.manifest.graphs):
            file = bundle.graph_path(graph)
            feed = random_feed(onnx.load(file, load_external_data=False), _sizes(args))
            works[graph, precision] = count_work(file, feed)
            runs[f"{graph} {precision}"] = _timed(file, feed, args.threads)
    watch = Watch()
    best = dict.fromkeys(runs, 0.0)
    for _ in track(range(args.rounds), "rounds"):
        for name, run in runs.items():
            tries = TRIES if name in CEILINGS else 1
            best[name] = max(best[name], *(run() for _ in range(tries)))
            watch.loop()
    ceilings = {kind: best[kind] for kind in CEILINGS}
    return {
        "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine,
        "threads": args.threads,
        "clip": {"segments": args.segments, "tokens": args.tokens},
        "rounds": args.rounds,
        "bundles": {k: msgspec.to_builtins(bundle_facts(b)) for k, b in bundles.items()},
        "stability": msgspec.to_builtins(watch.judge()),
        "ceilings": ceilings,
        "graphs": [
            _row(graph, precision, work, 1e3 / best[f"{graph} {precision}"], ceilings)
            for (graph, precision), work in works.items()
        ],
    }


def _sizes(args: argparse.Namespace) -> dict[str, int]:
    segments = {"segments": args.segments, "clip_segments": args.segments}
    return {"batch": 1, "tokens": args.tokens, **segments}


def _timed(file: Path, feed: Feed, threads: int) -> Callable[[], float]:
    """A run of the graph, as runs a second."""
    session = open_session(str(file), threads)

    def run() -> float:
        started = time.perf_counter()
        session.run(None, feed)
        return 1 / (time.perf_counter() - started)

    return run


def _row(
    graph: str, precision: str, work: Work, least_ms: float, ceilings: dict[str, float]
) -> dict[str, Any]:
    """A graph's work, and the time below which this machine cannot do it."""
    bandwidth = max(ceilings["copy"], ceilings["read"])
    compute_ms = 1e3 * (
        work.float_operations / ceilings["fp32"] + work.integer_operations / ceilings["int8"]
    )
    memory_ms = 1e3 * work.least_bytes / bandwidth
    bound_ms = max(compute_ms, memory_ms)
    return {
        "graph": graph,
        "precision": precision,
        "operations": work.operations,
        "float_operations": work.float_operations,
        "integer_operations": work.integer_operations,
        "weight_bytes": work.weight_bytes,
        "input_output_bytes": work.input_output_bytes,
        "between_bytes": work.between_bytes,
        "intensity": work.intensity,
        "per_operator": work.per_operator,
        "compute_bound_ms": compute_ms,
        "memory_bound_ms": memory_ms,
        "least_ms": least_ms,
        "bound_by": "compute" if compute_ms >= memory_ms else "memory",
        "share_of_bound": bound_ms / least_ms,
    }


def as_markdown(outcome: dict[str, Any]) -> str:
    """The result as a page."""
    machine, ceilings = outcome["machine"], outcome["ceilings"]
    stability = outcome["stability"]
    verdict = "quiet" if not stability["noisy"] else "noisy: " + "; ".join(stability["reasons"])
    chains = {
        precision: [row for row in outcome["graphs"] if row["precision"] == precision]
        for precision in ("fp32", "int8")
    }
    lines = [
        f"- {precision}: the graphs' best runs add up to "
        f"{sum(row['least_ms'] for row in rows):.1f} ms, their bounds to "
        f"{sum(max(row['compute_bound_ms'], row['memory_bound_ms']) for row in rows):.1f} ms."
        for precision, rows in chains.items()
    ]
    parts = [
        "# Roofline: how near each graph comes to the machine",
        f"`python benchmarks/roofline_page.py`, {outcome['measured']}, commit "
        f"`{outcome['commit'][:12]}`, {machine['processor']} "
        f"({', '.join(machine['instruction_sets'])}), {outcome['threads']} threads, preset "
        f"`{outcome['bundles']['fp32']['preset']}`, {outcome['clip']['segments']} segments, "
        f"{outcome['clip']['tokens']} tokens; ONNX Runtime; best of {outcome['rounds']} rounds in "
        f"turn. The machine was {verdict}.",
        "![each graph below the machine's ceilings](roofline.png)",
        "## The machine's ceilings\n\nProducts of large square matrices (MatMul in fp32, "
        "MatMulInteger of uint8 and int8) in ONNX Runtime; a copy (read and written bytes, as "
        "STREAM counts) and a read of 128 MB in NumPy, all threads. The faster of the two last "
        "is the ceiling of the memory.",
        table(
            ("what", "at best"),
            [
                *((f"{kind} products", f"{ceilings[kind] / 1e9:.0f} G operations/s")
                  for kind in ("fp32", "int8")),
                *((kind, f"{ceilings[kind] / 1e9:.1f} GB/s") for kind in ("copy", "read")),
            ],
        ),
        "## The graphs\n\nAn addition and a multiplication are two operations. Bytes are those "
        "that must be moved at least: each weight once as the file has it (of a table the rows "
        "that are looked up; of Winograd's convolutions the 3 x 3 filters, which an engine keeps "
        "as 16 or 36 numbers), inputs and outputs. The bound is the longer of the time that the "
        "operations take at the ceiling of their kind and the time that the bytes take; the share "
        "is the bound through the best run.",
        table(
            ("graph", "precision", "G operations", "of them eight bit", "MB", "operations/byte",
             "bound by", "bound, ms", "best run, ms", "share of the bound"),
            [_cells(row) for row in outcome["graphs"]],
        ),
        "\n".join(lines),
        "What lies between the operators is not in the bound, because an engine may keep it in "
        "its caches. If none of it stayed there, it would be:",
        table(
            ("graph", "precision", "MB between operators", "ms at the memory's ceiling"),
            [
                [row["graph"], row["precision"], f"{row['between_bytes'] / 1e6:.0f}",
                 f"{1e3 * row['between_bytes'] / max(ceilings['copy'], ceilings['read']):.1f}"]
                for row in outcome["graphs"]
            ],
        ),
        "## Where the operations are, G",
        table(
            ("graph", "precision", "kinds"),
            [[row["graph"], row["precision"], _kinds(row["per_operator"])]
             for row in outcome["graphs"]],
        ),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _cells(row: dict[str, Any]) -> list[str]:
    moved = row["weight_bytes"] + row["input_output_bytes"]
    return [
        row["graph"],
        row["precision"],
        f"{row['operations'] / 1e9:.3f}",
        f"{row['integer_operations'] / row['operations']:.1%}",
        f"{moved / 1e6:.1f}",
        f"{row['intensity']:.0f}",
        row["bound_by"],
        f"{max(row['compute_bound_ms'], row['memory_bound_ms']):.2f}",
        f"{row['least_ms']:.2f}",
        f"{row['share_of_bound']:.0%}",
    ]


def _kinds(per_operator: dict[str, int]) -> str:
    largest = sorted(per_operator.items(), key=lambda item: -item[1])[:5]
    return ", ".join(f"{kind} {count / 1e9:.3f}" for kind, count in largest)


if __name__ == "__main__":
    raise SystemExit(main())
