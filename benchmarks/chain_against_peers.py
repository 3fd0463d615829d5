"""The chain against what a user would run instead; writes results/chain-against-peers.{json,md}.

One clip, everything in one session: our fp32 and INT8 bundles and each peer are processes of their
own that take strict turns, round by round, only one of them working at a time. Then cold starts in
turn with `import torch, transformers`, and the memory of new processes that decide on a clip, from
a media file where one is given.

    python benchmarks/chain_against_peers.py --fp32 BUNDLE --int8 BUNDLE [--clip FILE]

Both bundles are of one preset; the peers have its sizes and random weights.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec
from rich.progress import Progress

from benchmarks.chain_page import ALSO, ENGINES, FP32, INT8, as_markdown
from mer_edge.bundle import Bundle
from mer_edge.checkout import commit
from mer_edge.clip_file import save_clip
from mer_edge.errors import MerEdgeError
from mer_edge.files import new_file
from runtime.bench.cold import ColdRun, cold_run, summarise
from runtime.bench.machine import read_machine
from runtime.bench.partner import Partner
from runtime.bench.peers import PEERS, MadeGraph, make_graph, start_peer
from runtime.bench.report import bundle_facts
from runtime.bench.rounds import run_rounds
from runtime.bench.stability import Watch
from runtime.bench.summary import Latency, Ratio
from runtime.bench.workload import synthetic_clip

RESULTS = Path(__file__).resolve().parent / "results"
IMPORT = "import torch, transformers"
"""Tells when it is through: the clock is the one of the process that started it."""
IMPORT_PROGRAM = f"import time; {IMPORT}; print(time.perf_counter())"


@dataclass(frozen=True)
class Claim:
    """A row of the table of what must be reached."""

    what: str
    own: str
    other: str
    must: float
    aim: float


SPEED = (
    Claim("fp32 chain against PyTorch eager fp32", FP32, "pytorch", 1.8, 2.2),
    Claim("chain against one whole-model graph, same engine, fp32", FP32, "onnxruntime", 1.0, 1.1),
    Claim("INT8 chain against PyTorch eager fp32", INT8, "pytorch", 5.3, 9.0),
    Claim("INT8 chain against OpenVINO bf16, one graph", INT8, "openvino", 1.4, 2.5),
)


def main() -> int:
    """Returns 0 when every must is reached, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fp32", type=Path, required=True, metavar="BUNDLE")
    parser.add_argument("--int8", type=Path, required=True, metavar="BUNDLE")
    parser.add_argument("--clip", type=Path, metavar="FILE", help="for memory from file to end")
    parser.add_argument("--segments", type=int, default=5, metavar="N")
    parser.add_argument("--tokens", type=int, default=32, metavar="N")
    parser.add_argument("--threads", type=int, default=2, metavar="N")
    parser.add_argument("--rounds", type=int, default=40, metavar="N", help="default: 40")
    parser.add_argument("--cold-runs", type=int, default=7, metavar="N", help="default: 7")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR")
    args = parser.parse_args()
    with Progress() as progress:
        outcome = measure(args, progress)
    write(args.out / "chain-against-peers.json", json.dumps(outcome, indent=1) + "\n")
    write(args.out / "chain-against-peers.md", as_markdown(outcome))
    print(as_markdown(outcome))
    return 0 if all(row["reached"] != "missed" for row in outcome["claims"]) else 1


def measure(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Everything, as plain values."""
    bundles = {FP32: Bundle.load(args.fp32), INT8: Bundle.load(args.int8)}
    outcome: dict[str, Any] = {
        "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": msgspec.to_builtins(read_machine()),
        "bundles": {name: asdict(bundle_facts(bundle)) for name, bundle in bundles.items()},
        "clip": {"segments": args.segments, "tokens": args.tokens, "threads": args.threads},
        "environment": {k: v for k, v in os.environ.items() if k.startswith(("OMP_", "GOMP_"))},
    }
    with tempfile.TemporaryDirectory(prefix="mer-edge-peers-") as folder:
        clip = Path(folder) / "clip.npz"
        save_clip(synthetic_clip(bundles[FP32], args.segments, args.tokens), clip)
        outcome |= measure_speed(args, bundles, clip, progress)
        outcome |= measure_cold_starts(args, clip, progress)
        outcome |= measure_memory(args, bundles[FP32], clip)
    outcome["claims"] = claims(outcome)
    return outcome


def measure_speed(
    args: argparse.Namespace, bundles: dict[str, Bundle], clip: Path, progress: Progress
) -> dict[str, Any]:
    """All subjects in turn; per subject its latency, per pair the ratio."""
    with ExitStack() as stack:
        partners: dict[str, Partner] = {}
        starter = Starter(args, bundles, clip)
        starting = progress.add_task("starting", total=len(ENGINES) + 2)
        for name in (FP32, INT8, *ENGINES):
            partners[name] = stack.enter_context(starter.start(name))
            progress.advance(starting)
        watch = Watch()
        turns = progress.add_task("in turns", total=args.rounds)
        rounds = run_rounds(
            {name: partner.run for name, partner in partners.items()},
            args.rounds,
            3,
            watch,
            lambda what, done, total: progress.update(
                turns, completed=done if what == "in turns" else 0
            ),
        )
    times = rounds.times_ms
    latencies = {name: Latency.of(values) for name, values in times.items()}
    pairs = [(c.what, c.own, c.other) for c in SPEED] + list(ALSO)
    stability = watch.judge({f"the {name}": latencies[name].tail for name in (INT8, FP32)})
    return {
        "latency_ms": {name: asdict(latency) for name, latency in latencies.items()},
        "engines": {name: partner.engine for name, partner in partners.items()},
        "versions": {k: v for p in partners.values() for k, v in p.versions.items()},
        "ratios": {what: asdict(Ratio.of(times[own], times[other])) for what, own, other in pairs},
        "stability": asdict(stability),
    }


class Starter:
    """Starts each subject in its own process; what several need is made once.

    Args:
        clip: .npz; the graphs that are made lie beside it.
    """

    def __init__(self, args: argparse.Namespace, bundles: dict[str, Bundle], clip: Path) -> None:
        self._threads, self._bundles, self._clip = args.threads, bundles, clip
        self._graphs: dict[str, MadeGraph] = {}

    def start(self, name: str) -> Partner:
        """One of ours, or one of ``ENGINES``."""
        if name in self._bundles:
            return self._peer(str(self._bundles[name].path), self._bundles[name], None)
        bundle = self._bundles[INT8 if name == "int8-merged" else FP32]
        peer = "onnxruntime-merged" if name == "int8-merged" else name
        kind = PEERS[peer].graph
        if not kind:
            return self._peer(peer, bundle, None)
        key = name if kind == "joined" else kind
        if key not in self._graphs:
            file = self._clip.with_name(f"{key}.onnx")
            self._graphs[key] = make_graph(kind, bundle, file, None, name)
        return self._peer(peer, bundle, self._graphs[key])

    def _peer(self, peer: str, bundle: Bundle, graph: MadeGraph | None) -> Partner:
        return start_peer(peer, bundle, self._clip, "cpu", self._threads, graph=graph)


def measure_cold_starts(args: argparse.Namespace, clip: Path, progress: Progress) -> dict[str, Any]:
    """New processes in turn: ours to their first decision, and the import of what others need."""
    ours: dict[str, list[ColdRun]] = {FP32: [], INT8: []}
    subjects: dict[str, Callable[[], float]] = {IMPORT: import_ms}
    for name, path in ((FP32, args.fp32), (INT8, args.int8)):
        subjects[name] = lambda name=name, path=path: keep(
            ours[name], cold_run(path, "cpu", args.threads, clip, None)
        )
    task = progress.add_task("cold starts", total=args.cold_runs)
    rounds = run_rounds(
        subjects,
        args.cold_runs,
        1,
        None,
        lambda what, done, total: progress.update(
            task, completed=done if what == "in turns" else 0
        ),
    )
    times = rounds.times_ms
    return {
        "cold_ms": {name: asdict(Latency.of(values)) for name, values in times.items()},
        "cold_phases_ms": {
            name: summarise(runs[-args.cold_runs :]).phases_ms for name, runs in ours.items()
        },
        "cold_ratios": {
            name: asdict(Ratio.of(times[name], times[IMPORT])) for name in (FP32, INT8)
        },
    }


def keep(runs: list[ColdRun], run: ColdRun) -> float:
    runs.append(run)
    return run.first_decision_ms


def import_ms() -> float:
    """From the start of a new process until both are imported; its end does not count."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-I", "-c", IMPORT_PROGRAM], capture_output=True, text=True, check=True
    )
    return (float(done.stdout) - started) * 1e3


def measure_memory(args: argparse.Namespace, bundle: Bundle, clip: Path) -> dict[str, Any]:
    """Peaks of new processes after one decision, the same input for each; medians of three."""
    request: dict[str, Any] = {
        "peer": "pytorch",
        "bundle": str(bundle.path.absolute()),
        "clip": str(clip),
        "file": None if args.clip is None else str(args.clip.absolute()),
        "device": "cpu",
        "threads": args.threads,
        "run": None,
    }
    peaks: dict[str, list[int]] = {FP32: [], INT8: [], "pytorch": []}
    for _ in range(3):
        for name, path in ((FP32, args.fp32), (INT8, args.int8)):
            run = cold_run(path, "cpu", args.threads, clip, args.clip)
            peaks[name].append(run.memory.peak_bytes if run.memory else 0)
        with Partner("export.peers.torch_peer", request, "PyTorch") as partner:
            partner.run()
            peaks["pytorch"].append(partner.memory["peak_bytes"] if partner.memory else 0)
    return {
        "memory_of": "a media file" if args.clip is not None else "the synthetic clip",
        "memory_bytes": {name: statistics.median(values) for name, values in peaks.items()},
    }


def claims(outcome: dict[str, Any]) -> list[dict[str, Any]]:
    """What must be reached, what was, and how sure that is."""
    rows = [claim_row(c.what, outcome["ratios"][c.what], c.must, c.aim) for c in SPEED]
    cold = outcome["cold_ratios"][INT8]
    rows.append(claim_row(f"first INT8 result of a cold process against `{IMPORT}`", cold, 1.0, 3))
    memory = outcome["memory_bytes"]
    share = memory[INT8] / memory["pytorch"]
    where = f"peak memory, INT8, from {outcome['memory_of']}, against PyTorch"
    reached = "aim" if share <= 0.2 else "must" if share <= 0.35 else "missed"
    return [*rows, {"what": where, "value": share, "must": 0.35, "aim": 0.2, "reached": reached}]


def claim_row(what: str, ratio: dict[str, Any], must: float, aim: float) -> dict[str, Any]:
    value = ratio["of_medians"]
    reached = "aim" if value >= aim else "must" if value >= must else "missed"
    return {"what": what, "value": value, "must": must, "aim": aim, "reached": reached} | {
        key: ratio[key] for key in ("low", "high", "quartiles", "rounds")
    }


def write(file: Path, text: str) -> None:
    with new_file(file, "writing the result") as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except MerEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
