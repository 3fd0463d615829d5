"""Many clips in shared batches against one by one; writes results/batch.{json,md}.

The network alone on clips that are made already, and whole commands on real files, each way in
turns in the same run; the ratio is that of the medians, the spread that of
the rounds.

    python benchmarks/batch.py --bundles BUNDLE [BUNDLE...] --clips FOLDER [FOLDER...]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from batch_files import copy_files, decode_all, decode_half, infer_s
from rich.progress import track

from mer_edge.bundle import Bundle
from mer_edge.checkout import commit
from mer_edge.clip import Clip
from mer_edge.files import new_file
from runtime.batch.pipeline import DEFAULT_BATCH, SEGMENTS_A_RUN
from runtime.bench.machine import described_processor
from runtime.bench.workload import synthetic_clip
from runtime.recognizer import Recognizer
from train.provenance import versions

RESULTS = Path(__file__).resolve().parent / "results"
ONE_BY_ONE = "one by one"
SCAN_CLIPS = 16
STAGES = ("text", "audio", "visual", "fusion")
MUST = 1.2
Ways = dict[str, Callable[[], dict[str, float] | None]]


def main() -> int:
    """Returns 0 when 64 decoded clips of 5 segments reach the ratio on every bundle, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bundles", type=Path, nargs="+", required=True)
    parser.add_argument("--clips", type=Path, nargs="*", default=[], metavar="FOLDER")
    parser.add_argument("--count", type=int, default=64, metavar="N", help="clips (default: 64)")
    parser.add_argument("--files", type=int, default=28, metavar="N", help="default: 28")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--part", choices=("network", "files"), help="keep the rest of --out")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR")
    args = parser.parse_args()
    rows = kept_rows(args)
    if args.part != "files":
        for path in args.bundles:
            rows += network_rows(Bundle.load(path), args)
    with tempfile.TemporaryDirectory() as folder:
        files = None if args.part == "network" else copy_files(args.clips, args.files, Path(folder))
        if files is not None:
            rows += file_rows(files, args)
    outcome = describe(rows, args)
    write(args.out / "batch.json", json.dumps(outcome, indent=1) + "\n")
    write(args.out / "batch.md", as_markdown(outcome))
    print(as_markdown(outcome))
    decisive = [row for row in rows if row["what"].endswith("5 segments, 32 tokens, the job's way")]
    return 0 if all(row["ratio"] >= MUST for row in decisive) else 1


def kept_rows(args: argparse.Namespace) -> list[dict[str, Any]]:
    """What an earlier run has measured of the part that this one leaves out."""
    if args.part is None:
        return []
    rows: list[dict[str, Any]] = json.loads((args.out / "batch.json").read_text())["rows"]
    other = "network" if args.part == "files" else "files"
    return [row for row in rows if row["part"] == other]


def network_rows(bundle: Bundle, args: argparse.Namespace) -> list[dict[str, Any]]:
    """The network alone: the decisive pair, other lengths, then which sizes are best."""
    together = Recognizer(bundle, threads=args.threads)
    alone = Recognizer(bundle, threads=1)
    name = f"{bundle.path.name}, network"
    rows = []
    for segments in (5, 1):
        clips = made_clips(bundle, args.count, segments, lambda _: 32)
        ways = {
            ONE_BY_ONE: lambda c=clips: one_by_one(together, c),
            "the job's way": lambda c=clips: lanes(alone, c, DEFAULT_BATCH, args.threads),
        }
        rows += compare(f"{name}, {len(clips)} clips of {segments} segments, 32 tokens", ways, args)
    clips = made_clips(bundle, args.count, 1, lambda number: 4 + 60 * (number % 8) // 7)
    by_length = sorted(clips, key=lambda clip: len(clip.text or ""))
    ways = {
        ONE_BY_ONE: lambda: one_by_one(together, clips),
        "mixed texts": lambda: lanes(alone, clips, DEFAULT_BATCH, args.threads),
        "texts of like length together": lambda: lanes(
            alone, by_length, DEFAULT_BATCH, args.threads
        ),
    }
    rows += compare(f"{name}, {len(clips)} clips of 1 segment, 4 to 64 tokens", ways, args)
    clips = made_clips(bundle, SCAN_CLIPS, 5, lambda _: 32)
    return rows + compare(
        f"{name}, {len(clips)} clips of 5 segments", scan(together, alone, clips, args), args
    )


def scan(
    together: Recognizer, alone: Recognizer, clips: list[Clip], args: argparse.Namespace
) -> Ways:
    """Clips of a batch, segments of a run, graphs with all threads against batches side by side."""
    ways: Ways = {ONE_BY_ONE: lambda: one_by_one(together, clips)}
    for batch in (4, 16):
        ways[f"batches of {batch}, {args.threads} threads a graph"] = lambda b=batch: lanes(
            together, clips, b, 1
        )
    for batch in (1, 4, 8):
        ways[f"{args.threads} batches of {batch} side by side"] = lambda b=batch: lanes(
            alone, clips, b, args.threads
        )
    for audio, visual in ((1, 3), (5, 3), (40, 3), (16, 1), (16, 2), (16, 5), (16, 16), (16, 40)):
        ways[f"the same, batches of 8, {audio} of sound and {visual} faces a run"] = (
            lambda most={"audio": audio, "visual": visual}: lanes(
                alone, clips, 8, args.threads, most
            )
        )
    return ways


def made_clips(
    bundle: Bundle, count: int, segments: int, tokens: Callable[[int], int]
) -> list[Clip]:
    """Noise, each clip its own."""
    rng = np.random.default_rng(0)
    cache: dict[int, Clip] = {}
    clips = []
    for number in range(count):
        length = tokens(number)
        if length not in cache:
            cache[length] = synthetic_clip(bundle, segments, length)
        clip = cache[length]
        loudness = np.float32(rng.uniform(0.2, 1))
        clips.append(replace(clip, source=str(number), waveform=clip.waveform * loudness))
    return clips


def one_by_one(recognizer: Recognizer, clips: list[Clip]) -> dict[str, float]:
    """As ``mer-edge infer FILE...`` runs them. Returns the milliseconds of a clip by stage."""
    spent: Counter[str] = Counter()
    for clip in clips:
        spent.update(recognizer.run_batch([clip])[0].timings_ms)
    return {stage: ms / len(clips) for stage, ms in spent.items()}


def lanes(
    recognizer: Recognizer,
    clips: list[Clip],
    batch: int,
    count: int,
    most_segments: Mapping[str, int] = SEGMENTS_A_RUN,
) -> dict[str, float]:
    """Batches run by ``count`` threads. Returns the milliseconds of a clip by stage, of a thread's
    time the ``count``-th part: what a clip costs of the run's time."""
    chain = recognizer.chain
    chain.segments_a_run = dict(most_segments)
    spent: Counter[str] = Counter()
    waiting = [clips[start : start + batch] for start in range(0, len(clips), batch)][::-1]

    def work() -> None:
        while True:
            try:
                mine = waiting.pop()
            except IndexError:
                return
            spent.update(recognizer.run_batch(mine)[0].timings_ms)

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {stage: ms / len(clips) / count for stage, ms in spent.items()}


def file_rows(files: Path, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Whole commands, start of the process and loading of the bundle included."""
    count = len([file for file in files.iterdir() if file.suffix != ".txt"])
    rows = []
    for bundle in args.bundles:
        ways: Ways = {
            ONE_BY_ONE: lambda b=bundle: infer_s(b, files, args.threads, folder=False),
            "the job's way": lambda b=bundle: infer_s(b, files, args.threads, folder=True),
        }
        for workers in (1, 3):
            ways[f"the job's way, --workers {workers}"] = lambda b=bundle, w=workers: infer_s(
                b, files, args.threads, folder=True, workers=w
            )
        rows += compare(f"{bundle.name}, the command on {count} files", ways, args)
    halves = [(files, half) for half in range(2)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(decode_half, halves)  # the processes are warm when the clock starts
        ways = {
            ONE_BY_ONE: lambda: decode_all(files, 1),
            "2 threads": lambda: decode_all(files, 2),
            "2 processes": lambda: pool.map(decode_half, halves) and None,
        }
        rows += compare(f"clips made of {count} files, no network", ways, args)
    return rows


def compare(what: str, ways: Ways, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Every way in each round, in an order that turns; a row a way but the first."""
    walls: dict[str, list[float]] = {name: [] for name in ways}
    stages: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    names = list(ways)
    for number in track(range(args.rounds + 1), what):
        turned = islice(cycle(names), number % len(names), number % len(names) + len(names))
        for name in turned:
            started = time.perf_counter()
            spent = ways[name]()
            if number:  # the first round warms up
                walls[name].append(time.perf_counter() - started)
                stages[name].append(spent or {})
    base = walls[ONE_BY_ONE]
    return [
        {
            "what": f"{what}, {name}",
            "commit": commit()[:12],
            "part": "network" if " network, " in what else "files",
            "one_by_one_s": statistics.median(base),
            "wall_s": statistics.median(walls[name]),
            "ratio": statistics.median(base) / statistics.median(walls[name]),
            "one_by_one_ms": medians(stages[ONE_BY_ONE]),
            "stages_ms": medians(stages[name]),
            "round_ratios": sorted(b / w for b, w in zip(base, walls[name], strict=True)),
        }
        for name in names
        if name != ONE_BY_ONE
    ]


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Of each stage; nothing where nobody said."""
    return {stage: statistics.median(r[stage] for r in rounds) for stage in rounds[0]}


def describe(rows: list[dict[str, Any]], args: argparse.Namespace) -> dict[str, Any]:
    """The result as plain values, the machine and the versions with it."""
    return {
        "schema_version": 1,
        "bundles": [path.name for path in args.bundles],
        "threads": args.threads,
        "rounds": args.rounds,
        "machine": described_processor(),
        "versions": versions(),
        "python": sys.version.split()[0],
        "rows": rows,
    }


def as_markdown(outcome: dict[str, Any]) -> str:
    lines = [
        "# Many clips in shared batches against one by one",
        "",
        f"`python benchmarks/batch.py`, {measured_at(outcome['rows'])}, "
        f"{outcome['threads']} threads,",
        f"{outcome['rounds']} rounds in turns. Ratio of the medians, and of each round: least to "
        "most.",
        "",
        "| what | one by one, s | this, s | times as fast | rounds |",
        "|---|---|---|---|---|",
    ]
    for row in outcome["rows"]:
        least, most = row["round_ratios"][0], row["round_ratios"][-1]
        lines.append(
            f"| {row['what']} | {row['one_by_one_s']:.2f} | {row['wall_s']:.2f} | "
            f"{row['ratio']:.2f} | {least:.2f} to {most:.2f} |"
        )
    return "\n".join([*lines, *profile(outcome["rows"])]) + "\n"


def measured_at(rows: list[dict[str, Any]]) -> str:
    """Which commit each part was measured at."""
    parts = dict.fromkeys((row["part"], row["commit"]) for row in rows)
    return ", ".join(f"{part} at commit `{made}`" for part, made in parts)


def profile(rows: list[dict[str, Any]]) -> list[str]:
    """Where the time goes, of the decisive pairs."""
    lines = ["", "Milliseconds of the run that a clip costs, one by one -> the job's way:", ""]
    lines += [f"| clips | {' | '.join(STAGES)} |", "|---" * (1 + len(STAGES)) + "|"]
    for row in rows:
        if row["what"].endswith("the job's way") and row["stages_ms"]:
            cells = [
                f"{row['one_by_one_ms'][stage]:.1f} -> {row['stages_ms'][stage]:.1f}"
                for stage in STAGES
            ]
            lines.append(f"| {row['what']} | {' | '.join(cells)} |")
    return lines


def write(path: Path, text: str) -> None:
    with new_file(path, "writing the results") as temporary:
        temporary.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
