"""How long the CPU sessions' threads should look for work; writes results/spinning.{json,md}.

    python benchmarks/spinning.py BUNDLE [--segments 1 5]

The graphs of the bundle in turns with two threads, each way with sessions of its own: ONNX
Runtime's own duration, and shorter ones. Once with nothing else to do, once beside a program that
always wants a core.
"""

from __future__ import annotations

import argparse
import json
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
from benchmarks.side_by_side import GRAPHS, PAUSE_S, TOKENS, in_turns, open_graph, random_feed
from mer_edge.bundle import Bundle
from mer_edge.checkout import commit
from mer_edge.engines import SPIN_US
from mer_edge.files import new_file
from runtime.bench.machine import read_machine
from runtime.bench.stability import Watch

RESULTS = Path(__file__).resolve().parent / "results"
DURATIONS_US = (None, 20, 50, 100, 200, 1000)
"""None: the engine's own."""
ALONE, BUSY = "alone", "beside a busy program"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("--segments", nargs="+", type=int, default=[1, 5], metavar="N")
    parser.add_argument("--rounds", type=int, default=40, metavar="N", help="default: 40")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR")
    args = parser.parse_args()
    bundle = Bundle.load(args.bundle)
    ways = {
        spin_us: {name: open_graph(bundle, name, threads=2, spin_us=spin_us) for name in GRAPHS}
        for spin_us in DURATIONS_US
    }
    watch = Watch()
    rows = []
    for segments in args.segments:
        rows += measure(ways, segments, args.rounds, ALONE, watch)
        with busy_program():
            rows += measure(ways, segments, args.rounds, BUSY, Watch())
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
    for name, content in (
        ("spinning.json", json.dumps(outcome, indent=1) + "\n"),
        ("spinning.md", as_markdown(outcome)),
    ):
        with new_file(args.out / name, "writing the result") as temporary:
            temporary.write_text(content, encoding="utf-8")
    print(as_markdown(outcome))
    return 0


def measure(
    ways: dict[int | None, dict[str, Any]], segments: int, rounds: int, company: str, watch: Watch
) -> list[dict[str, Any]]:
    """A row per duration; every other round begins with another one."""
    feeds = {name: random_feed(session, segments) for name, session in ways[None].items()}
    spent_ms: dict[int | None, list[float]] = {spin_us: [] for spin_us in ways}
    order = list(ways)
    for _ in track(range(rounds), description=f"{segments} segments, {company}"):
        watch.loop()
        for spin_us in order:
            in_turns(ways[spin_us], feeds)  # what others left in the caches is not its fault
            started = time.perf_counter()
            in_turns(ways[spin_us], feeds)
            spent_ms[spin_us].append((time.perf_counter() - started) * 1e3)
            time.sleep(PAUSE_S)
        order = order[1:] + order[:1]
    own = np.array(spent_ms[None])
    return [
        {
            "segments": segments,
            "company": company,
            "spin_us": spin_us,
            "least_ms": round(min(values), 1),
            "median_ms": round(float(np.median(values)), 1),
            "as_fast_at_best": round(float(own.min()) / min(values), 3),
            "as_fast": round(float(np.median(own / np.array(values))), 3),
        }
        for spin_us, values in spent_ms.items()
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
    head = ["segments", "", "looks for work, us", "least, median ms", "times as fast"]
    rows = [
        [
            str(row["segments"]),
            row["company"],
            str(row["spin_us"] or "the engine's own"),
            f"{row['least_ms']}, {row['median_ms']}",
            f"{row['as_fast_at_best']:.2f}, {row['as_fast']:.2f}",
        ]
        for row in outcome["rows"]
    ]
    lines = [
        "# How long a thread looks for work before it sleeps",
        "",
        f"`python benchmarks/spinning.py`, {outcome['measured']}, commit "
        f"`{outcome['commit'][:12]}`, {outcome['processor']}, two threads on two cores, ONNX "
        f"Runtime {outcome['onnxruntime']}; {outcome['bundle']}, {TOKENS} tokens, all graphs but "
        f"fusion in turns. Least and median of {outcome['rounds']} rounds in turn; times as fast "
        "as with the engine's own duration (by the least times, by the median of the rounds' "
        f"ratios). The runtime takes {SPIN_US} us.",
        "",
        table(head, rows),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
