"""How `mer-edge prepare` grows with processes; writes results/prepare-scaling.{json,md}.

One process against one per core on the same real clips, the whole command from start to end, each
time into an empty store; rounds interleaved, medians. A process works in one thread: with one
process, one core works.

    python benchmarks/prepare_scaling.py --clips FOLDER [FOLDER...]

Files of the folders are copied under new names until there are --video clips with a picture and
--sound clips without; kinds that the folders lack are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from rich.progress import track

from mer_edge.checkout import commit
from mer_edge.files import new_file
from runtime.bench.machine import described_processor
from runtime.bench.stability import load_average
from train.provenance import versions

RESULTS = Path(__file__).resolve().parent / "results"
KINDS = {"video": (".mp4", ".mkv", ".mov", ".avi", ".webm"), "sound": (".flac", ".wav", ".mp3")}
TARGET = 0.9


def main() -> int:
    """Returns 0 when every kind reaches the target, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clips", type=Path, nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--video", type=int, default=96, metavar="N", help="default: 96")
    parser.add_argument("--sound", type=int, default=4800, metavar="N", help="default: 4800")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default: 5")
    parser.add_argument("--workers", type=int, default=cores(), metavar="N", help="default: cores")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = {
            kind: copy_clips(args.clips, suffixes, getattr(args, kind), Path(folder) / kind)
            for kind, suffixes in KINDS.items()
        }
        walls = measure({k: d for k, d in data.items() if d}, args.workers, args.rounds)
    if not walls:
        parser.error(f"no clip in {', '.join(map(str, args.clips))}")
    outcome = describe(walls, {kind: getattr(args, kind) for kind in walls}, args.workers)
    write(args.out / "prepare-scaling.json", json.dumps(outcome, indent=1) + "\n")
    write(args.out / "prepare-scaling.md", as_markdown(outcome))
    print(as_markdown(outcome))
    return 0 if all(row["share_of_cores"] >= TARGET for row in outcome["results"]) else 1


def copy_clips(
    folders: list[Path], suffixes: tuple[str, ...], count: int, target: Path
) -> Path | None:
    """A data set of ``count`` clips of the folders' files; None where there are none."""
    files = [f for folder in folders for f in sorted(folder.iterdir()) if f.suffix in suffixes]
    if not files or not count:
        return None
    target.mkdir()
    lines = []
    for number, file in enumerate(islice(cycle(files), count)):
        name = f"{number:04}-{file.name}"
        shutil.copyfile(file, target / name)
        line = {"media": name, "text": "words", "labels": ["any"], "split": "train"}
        lines.append(json.dumps(line) + "\n")
    (target / "manifest.jsonl").write_text("".join(lines))
    return target


def measure(data: dict[str, Path], workers: int, rounds: int) -> dict[str, dict[int, list[float]]]:
    """Wall seconds per kind of clip and number of processes, one per round."""
    walls: dict[str, dict[int, list[float]]] = {k: {1: [], workers: []} for k in data}
    for number in track(range(rounds), "rounds"):
        order = (1, workers) if number % 2 == 0 else (workers, 1)
        for kind, folder in data.items():
            for count in order:
                walls[kind][count].append(prepare_s(folder, count))
    return walls


def prepare_s(data: Path, workers: int) -> float:
    """How long the command takes, imports and start of its processes included."""
    with tempfile.TemporaryDirectory() as store:
        command = [sys.executable, "-m", "mer_edge", "prepare", str(data), "--json"]
        command += ["--cache", store, "--workers", str(workers)]
        started = time.perf_counter()
        ran = subprocess.run(command, check=True, capture_output=True, text=True)
        wall_s = time.perf_counter() - started
    failed = json.loads(ran.stdout)["failed"]
    if failed:
        raise SystemExit(f"{failed[0]['reason']}: leave such files out of --clips")
    return wall_s


def describe(
    walls: dict[str, dict[int, list[float]]], counts: dict[str, int], workers: int
) -> dict[str, Any]:
    """The result as plain values, the machine and the versions with it."""
    rows = []
    for kind, seconds in walls.items():
        one, many = statistics.median(seconds[1]), statistics.median(seconds[workers])
        rows.append(
            {
                "clips": counts[kind],
                "kind": kind,
                "one_process_s": one,
                "all_processes_s": many,
                "speedup": one / many,
                "share_of_cores": one / many / workers,
                "rounds_s": {str(count): values for count, values in seconds.items()},
            }
        )
    return {
        "what": "wall seconds of mer-edge prepare, the whole command, medians over rounds",
        "target_share_of_cores": TARGET,
        "processes": workers,
        "device": {
            "processor": described_processor(),
            "cores": cores(),
            "load_average_at_end": load_average(),
            "system": platform.platform(terse=True),
        },
        "versions": versions(),
        "commit": commit(),
        "results": rows,
    }


def as_markdown(outcome: dict[str, Any]) -> str:
    """The result as a page."""
    device, rows = outcome["device"], outcome["results"]
    rounds = len(rows[0]["rounds_s"]["1"])
    lines = [
        "# Preparing clips: one process against one per core",
        "",
        f"`python benchmarks/prepare_scaling.py`, commit `{outcome['commit'][:12]}`, "
        f"{device['processor']}, {device['cores']} cores, {outcome['processes']} processes.",
        f"The whole command, medians of {rounds} interleaved rounds; a process works in one "
        f"thread. Target: {outcome['target_share_of_cores']} x cores.",
        "",
        "| clips | one process, s | all, s | times as fast | of the cores |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['clips']} {row['kind']} | {row['one_process_s']:.2f} | "
            f"{row['all_processes_s']:.2f} | {row['speedup']:.2f} | {row['share_of_cores']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def write(file: Path, text: str) -> None:
    with new_file(file, "writing the result") as temporary:
        temporary.write_text(text, encoding="utf-8")


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


if __name__ == "__main__":
    raise SystemExit(main())
