"""Graphs in turns against graphs side by side, on this CPU; writes results/side-by-side.{json,md}.

    python benchmarks/side_by_side.py BUNDLE [BUNDLE ...] [--segments 1 2 3 5 10]

The ways, on arrays that are there already, with two threads in all:

- *in turns*: each graph with two threads, one after the other, as the runtime does it.
- *two lanes*: a graph has one thread. One lane runs the text graph and then the audio graph, the
  other the stem of the face encoder and then its tail.
- *two lanes, shared*: as before, but the text graph may use both cores where one is free (it has
  two threads), and the tail's segments are shared out in thirds to whoever is free.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
import onnxruntime
from rich.progress import Progress

from benchmarks.chain_page import table
from benchmarks.outcome import publish
from mer_edge.bundle import Bundle
from mer_edge.checkout import commit
from mer_edge.engines import SPIN_US, set_threads
from runtime.bench.machine import read_machine
from runtime.bench.stability import Watch
from runtime.ort import SLOWER_FUSIONS

RESULTS = Path(__file__).resolve().parent / "results"
GRAPHS = ("text", "audio", "visual_stem", "visual")
TURNS, LANES, SHARED = "in turns", "two lanes", "two lanes, shared"
TOKENS = 32
PAUSE_S = 0.02
"""Between runs: threads of the one before have stopped spinning by then."""
Feed = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE")
    parser.add_argument("--segments", nargs="+", type=int, default=[1, 2, 3, 5, 10], metavar="N")
    parser.add_argument("--rounds", type=int, default=25, metavar="N", help="default: 25")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR")
    args = parser.parse_args()
    watch = Watch()
    rows = []
    with Progress() as progress:
        task = progress.add_task("rounds", total=len(args.bundles) * len(args.segments))
        for path in args.bundles:
            bundle = Bundle.load(path)
            for segments in args.segments:
                rows.append(measure(bundle, segments, args.rounds, watch))
                progress.advance(task)
    outcome = {
        "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "processor": read_machine().processor,
        "onnxruntime": read_machine().versions["onnxruntime"],
        "rounds": args.rounds,
        "stability": asdict(watch.judge()),
        "rows": rows,
    }
    publish(outcome, as_markdown(outcome), args.out, "side-by-side")
    return 0


def measure(bundle: Bundle, segments: int, rounds: int, watch: Watch) -> dict[str, Any]:
    """Milliseconds of each way, a round after the other."""
    one = {name: open_graph(bundle, name, threads=1) for name in GRAPHS}
    two = {name: open_graph(bundle, name, threads=2) for name in GRAPHS}
    feeds = {name: random_feed(one[name], segments) for name in GRAPHS}
    shared = one | {"text": two["text"]}
    with ThreadPoolExecutor(1) as other_lane:
        ways: dict[str, Callable[[], None]] = {
            TURNS: lambda: in_turns(two, feeds),
            LANES: lambda: in_lanes(one, feeds, other_lane, segments),
            SHARED: lambda: in_lanes(shared, feeds, other_lane, -(-segments // 3)),
        }
        spent_ms: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            watch.loop()
            for way, run in ways.items():
                run()  # what others left in the caches is not this way's fault
                started = time.perf_counter()
                run()
                spent_ms[way].append((time.perf_counter() - started) * 1e3)
                time.sleep(PAUSE_S)
    return {
        "preset": bundle.manifest.preset,
        "precision": bundle.manifest.graphs["audio"].precision,
        "segments": segments,
        "ways": {way: figures(values, spent_ms[TURNS]) for way, values in spent_ms.items()},
    }


def open_graph(
    bundle: Bundle,
    name: str,
    threads: int,
    spin_us: int | None = SPIN_US,
    *,
    own_cores: bool = True,
) -> onnxruntime.InferenceSession:
    """As the runtime has it; otherwise see ``mer_edge.engines.set_threads``."""
    options = onnxruntime.SessionOptions()
    set_threads(options, threads, spin_us, own_cores=own_cores)
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        str(bundle.graph_path(name)),
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=SLOWER_FUSIONS,
    )


def random_feed(session: onnxruntime.InferenceSession, segments: int) -> Feed:
    sizes = {"batch": 1, "tokens": TOKENS, "segments": segments}
    rng = np.random.default_rng(0)
    feed: Feed = {}
    for given in session.get_inputs():
        shape = [sizes.get(size, size) for size in given.shape]
        if given.name == "attention_mask":
            feed[given.name] = np.ones(shape, np.int64)
        elif given.name == "input_ids":
            feed[given.name] = rng.integers(1, 50, shape)
        elif given.type == "tensor(uint8)":
            feed[given.name] = rng.integers(0, 256, shape, np.uint8)
        else:
            feed[given.name] = rng.normal(0, 0.1, shape).astype(np.float32)
    return feed


def in_turns(graphs: Mapping[str, Any], feeds: Mapping[str, Feed]) -> None:
    for name in GRAPHS:
        graphs[name].run(None, feeds[name])


def in_lanes(
    graphs: Mapping[str, Any],
    feeds: Mapping[str, Feed],
    other_lane: ThreadPoolExecutor,
    at_once: int,
) -> None:
    """The tail of the face encoder begins when text and stem are there."""
    segments = len(feeds["visual"]["visual_map"])
    parts: SimpleQueue[slice] = SimpleQueue()
    for start in range(0, segments, at_once):
        parts.put(slice(start, start + at_once))
    text_is_there, stem_is_there = threading.Event(), threading.Event()

    def tails() -> None:
        while True:
            try:
                rows = parts.get_nowait()
            except Empty:
                return
            graphs["visual"].run(None, {k: v[rows] for k, v in feeds["visual"].items()})

    def faces() -> None:
        graphs["visual_stem"].run(None, feeds["visual_stem"])
        stem_is_there.set()
        text_is_there.wait()
        tails()

    running = other_lane.submit(faces)
    graphs["text"].run(None, feeds["text"])
    text_is_there.set()
    graphs["audio"].run(None, feeds["audio"])
    stem_is_there.wait()
    tails()
    running.result()


def figures(values_ms: list[float], turns_ms: list[float]) -> dict[str, float]:
    values, turns = np.array(values_ms), np.array(turns_ms)
    return {
        "least_ms": round(float(values.min()), 1),
        "median_ms": round(float(np.median(values)), 1),
        "as_fast": round(float(np.median(turns / values)), 3),
        "as_fast_at_best": round(float(turns.min() / values.min()), 3),
    }


def as_markdown(outcome: dict[str, Any]) -> str:
    rows = []
    for row in outcome["rows"]:
        ways = row["ways"]
        cells = [f"{ways[way]['least_ms']}, {ways[way]['median_ms']}" for way in ways]
        cells += [
            f"{ways[way]['as_fast_at_best']:.2f}, {ways[way]['as_fast']:.2f}"
            for way in (LANES, SHARED)
        ]
        rows.append([row["preset"], row["precision"], str(row["segments"]), *cells])
    head = ["preset", "precision", "segments", TURNS, LANES, SHARED, f"{LANES}: as fast"]
    head.append(f"{SHARED}: as fast")
    lines = [
        "# Graphs in turns against graphs side by side, on the CPU",
        "",
        f"`python benchmarks/side_by_side.py`, {outcome['measured']}, commit "
        f"`{outcome['commit'][:12]}`, {outcome['processor']}, two threads on two cores, ONNX "
        f"Runtime {outcome['onnxruntime']}, {TOKENS} tokens. Least and median milliseconds of "
        f"{outcome['rounds']} rounds in turn, without fusion; above 1 the way is faster than in "
        "turns (by the least times, by the median of the rounds' ratios).",
        "",
        table(head, rows),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
