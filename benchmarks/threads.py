"""What the CPU sessions' threads should do while they have nothing to do, and on which cores;
writes results/threads.{json,md}.

    python benchmarks/threads.py BUNDLE [--segments 1 5]

The graphs of the bundle in turns with two threads on two cores, each way with sessions of its own:
ONNX Runtime's own duration of looking for work and shorter ones; a core for each thread, and any.
In quick succession and after a second in which nothing ran, with nothing else to do and beside a
program that always wants a core.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from benchmarks.chain_page import table
from benchmarks.outcome import publish
from benchmarks.side_by_side import GRAPHS, PAUSE_S, TOKENS, in_turns, open_graph, random_feed
from mer_edge.bundle import Bundle
from mer_edge.checkout import commit
from mer_edge.engines import SPIN_US
from runtime.bench.machine import read_machine
from runtime.bench.stability import Watch

RESULTS = Path(__file__).resolve().parent / "results"
Way = tuple[int | None, bool]
"""Microseconds of looking for work, None for the engine's own; whether each has a core."""
FREE: Way = (None, False)
"""What the engine does by itself with a number of threads that it is told."""
WAYS: tuple[Way, ...] = (
    FREE,
    (SPIN_US, False),
    (None, True),
    (20, True),
    (50, True),
    (100, True),
    (200, True),
    (1000, True),
)
ALONE, BUSY = "alone", "beside a busy program"
LONG_PAUSE_S = 1.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("--segments", nargs="+", type=int, default=[1, 5], metavar="N")
    parser.add_argument("--rounds", type=int, default=40, metavar="N", help="default: 40")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR")
    args = parser.parse_args()
    bundle = Bundle.load(args.bundle)
    if len(os.sched_getaffinity(0)) != 2:
        raise SystemExit("error: expected two cores; run: taskset -c 0,1 python ...")
    ways = {
        way: {name: open_graph(bundle, name, 2, way[0], own_cores=way[1]) for name in GRAPHS}
        for way in WAYS
    }
    watch = Watch()
    rows = []
    for segments in args.segments:
        rows += measure(ways, segments, args.rounds, ALONE, PAUSE_S, watch)
        rows += measure(ways, segments, args.rounds // 4, ALONE, LONG_PAUSE_S, watch)
        with busy_program():
            rows += measure(ways, segments, args.rounds, BUSY, PAUSE_S, Watch())
    outcome = {
        "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "processor": read_machine().processor,
        "onnxruntime": read_machine().versions["onnxruntime"],
        "bundle": f"{bundle.manifest.preset}, {bundle.manifest.graphs['audio'].precision}",
        "rounds": args.rounds,
        "stability_alone": asdict(watch.judge()),
        "rows": rows,
    }
    publish(outcome, as_markdown(outcome), args.out, "threads")
    return 0


def measure(
    ways: dict[Way, dict[str, Any]],
    segments: int,
    rounds: int,
    company: str,
    pause_s: float,
    watch: Watch,
) -> list[dict[str, Any]]:
    """A row per way; every round begins with another one."""
    feeds = {name: random_feed(session, segments) for name, session in ways[FREE].items()}
    for graphs in ways.values():
        in_turns(graphs, feeds)
    spent_ms: dict[Way, list[float]] = {way: [] for way in ways}
    order = list(ways)
    for _ in track(range(rounds), description=f"{segments} segments, {company}, {pause_s:g} s"):
        watch.loop()
        for way in order:
            time.sleep(pause_s)
            started = time.perf_counter()
            in_turns(ways[way], feeds)
            spent_ms[way].append((time.perf_counter() - started) * 1e3)
        order = order[1:] + order[:1]
    free = np.array(spent_ms[FREE])
    return [
        {
            "segments": segments,
            "company": company,
            "pause_s": pause_s,
            "spin_us": way[0],
            "own_cores": way[1],
            "least_ms": round(min(values), 1),
            "median_ms": round(float(np.median(values)), 1),
            "as_fast": round(float(np.median(free) / np.median(values)), 3),
        }
        for way, values in spent_ms.items()
    ]


@contextmanager
def busy_program() -> Iterator[None]:
    program = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        program.kill()
        program.wait()


def as_markdown(outcome: dict[str, Any]) -> str:
    head = ["segments", "", "runs are apart, s", "looks for work, us", "cores"]
    head += ["least, median ms", "times as fast"]
    rows = [
        [
            str(row["segments"]),
            row["company"],
            f"{row['pause_s']:g}",
            str(row["spin_us"] or "the engine's own"),
            "one each" if row["own_cores"] else "any",
            f"{row['least_ms']}, {row['median_ms']}",
            f"{row['as_fast']:.2f}",
        ]
        for row in outcome["rows"]
    ]
    lines = [
        "# What threads do that have nothing to do, and where they run",
        "",
        f"`python benchmarks/threads.py`, {outcome['measured']}, commit "
        f"`{outcome['commit'][:12]}`, {outcome['processor']}, two threads on two cores, ONNX "
        f"Runtime {outcome['onnxruntime']}; {outcome['bundle']}, {TOKENS} tokens, all graphs but "
        f"fusion in turns. Least and median of {outcome['rounds']} rounds in turn (a quarter of "
        "them where runs are a second apart); times as fast as what the engine does by itself, by "
        f"the medians. The runtime takes {SPIN_US} us and one core each.",
        "",
        table(head, rows),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
