"""From a file to its decision: how long, and where the time goes; writes
results/file-to-decision.{json,md}.

mer-edge's own work on real clips after its imports, the bundle loaded and the first clip behind it:
opening, decoding, faces, sound, inference. With --against another tree of this repository runs the
same files in turns (`git worktree add FOLDER COMMIT`), in a process of its own; --against-is says
in the result what that tree is.

    python benchmarks/file_to_decision.py BUNDLE --clips FILE_OR_FOLDER... [--against FOLDER]

From each clip of 1080p a copy of 640 x 360 is made, H.264 as most cameras and sites write it. CPU
seconds are of all threads; what another program takes from the machine lengthens the wall time of a
round and not them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from rich.progress import track

from mer_edge.checkout import commit
from mer_edge.files import new_file
from runtime.bench.machine import described_processor
from runtime.bench.stability import load_average
from train.provenance import versions

HERE = Path(__file__).resolve().parent
STAGES = ("open and scan", "decode", "convert", "detect", "align", "sound", "inference")
LIMITS = {"1080p": (0.15, 0.06), "640 x 360": (0.08, 0.03)}
"""Real-time factor: must, aim."""


def main() -> int:
    """Returns 0 when every clip of a size with a limit is under what it must be, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("--clips", type=Path, nargs="+", required=True, metavar="FILE_OR_FOLDER")
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="another tree")
    parser.add_argument("--against-is", default="", metavar="WORDS", help="what that tree is")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="default: 2")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="default: 7")
    parser.add_argument("--out", type=Path, default=HERE / "results", metavar="DIR")
    args = parser.parse_args()
    load_before = load_average()
    trees = {"new": HERE.parent} | ({"old": args.against.resolve()} if args.against else {})
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        clips = [*clips_of(args.clips)]
        clips += [small_copy(clip, Path(folder)) for clip in clips if size_of(clip) == "1080p"]
        workers = {
            name: stack.enter_context(worker(tree, args.bundle, args.threads))
            for name, tree in trees.items()
        }
        rounds = measure(workers, clips, args.rounds)
        rows = [row_of(clip, rounds[clip]) for clip in clips]
    outcome = describe(rows, args, trees, load_before)
    write(args.out / "file-to-decision.json", json.dumps(outcome, indent=1) + "\n")
    write(args.out / "file-to-decision.md", as_markdown(outcome))
    print(as_markdown(outcome))
    limited = [row for row in rows if row["size"] in LIMITS]
    return 0 if all(row["new"]["rtf"] <= LIMITS[row["size"]][0] for row in limited) else 1


def clips_of(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        yield from sorted(path.glob("*.mp4")) if path.is_dir() else [path]


def size_of(clip: Path) -> str:
    with av.open(str(clip)) as container:
        video = container.streams.video[0]
        width, height = video.codec_context.width, video.codec_context.height
    return "1080p" if (width, height) == (1920, 1080) else f"{width} x {height}"


def small_copy(clip: Path, folder: Path) -> Path:
    """A copy of 640 x 360, its sound taken over as it is."""
    target = folder / f"{clip.stem}-640x360.mp4"
    with av.open(str(clip)) as source, av.open(str(target), "w") as copy:
        video = source.streams.video[0]
        rate = Fraction(video.average_rate or 25)
        small = copy.add_stream("libx264", rate=rate)
        small.width, small.height, small.pix_fmt = 640, 360, "yuv420p"
        sound = copy.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(video, source.streams.audio[0]):
            if packet.stream.type == "audio" and packet.size:
                packet.stream = sound
                copy.mux(packet)
            elif packet.stream.type == "video":
                for frame in packet.decode():
                    scaled = frame.reformat(640, 360, "yuv420p", interpolation="AREA")
                    scaled.pict_type = 0
                    copy.mux(small.encode(scaled))
        copy.mux(small.encode(None))
    return target


@contextmanager
def worker(tree: Path, bundle: Path, threads: int) -> Iterator[subprocess.Popen[str]]:
    """A process that recognises with the code of ``tree``."""
    command = [sys.executable, str(HERE / "file_to_decision_worker.py")]
    command += [str(bundle.resolve()), str(threads), commit_of(tree)]
    process = subprocess.Popen(
        command,
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["commit"] == commit_of(tree)
        yield process
    finally:
        process.communicate()


def commit_of(tree: Path) -> str:
    command = ["git", "-C", str(tree), "rev-parse", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def measure(
    workers: dict[str, subprocess.Popen[str]], clips: list[Path], rounds: int
) -> dict[Path, dict[str, list[dict[str, Any]]]]:
    """What each round of each clip took, by tree; one round more is made first and forgotten."""
    taken: dict[Path, dict[str, list[dict[str, Any]]]] = {
        clip: {name: [] for name in workers} for clip in clips
    }
    for number in track(range(rounds + 1), "rounds"):
        for clip in clips:
            for name in sorted(workers, reverse=bool(number % 2)):
                result = recognize(workers[name], clip)
                if number:
                    taken[clip][name].append(result)
    return taken


def recognize(process: subprocess.Popen[str], clip: Path) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{clip.resolve()}\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{clip}: the process that recognises it has ended")
    result: dict[str, Any] = json.loads(line)
    return result


def row_of(clip: Path, rounds: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    row: dict[str, Any] = {"clip": clip.name, "size": size_of(clip)}
    for name, results in rounds.items():
        media_s = results[0]["media_s"]
        walls = [result["wall_s"] / media_s for result in results]
        row["media_s"] = media_s
        row[name] = {
            "rtf": statistics.median(walls),
            "rtf_least": min(walls),
            "rtf_most": max(walls),
            "cpu_per_media_s": statistics.median(result["cpu_s"] / media_s for result in results),
            "stages_ms": {
                stage: 1e3 * statistics.median(r["stages_s"].get(stage, 0.0) for r in results)
                for stage in STAGES
            },
        }
    if "old" in rounds:
        pairs = zip(rounds["old"], rounds["new"], strict=True)
        row["times_as_fast"] = statistics.median(
            old["wall_s"] / new["wall_s"] for old, new in pairs
        )
        row["largest_difference_of_probabilities"] = difference(rounds["old"][0], rounds["new"][0])
    return row


def difference(old: dict[str, Any], new: dict[str, Any]) -> float:
    return max(
        abs(float(one) - float(other))
        for before, after in zip(old["probabilities"], new["probabilities"], strict=True)
        for one, other in zip(before, after, strict=True)
    )


def describe(
    rows: list[dict[str, Any]],
    args: argparse.Namespace,
    trees: dict[str, Path],
    load_before: tuple[float, float, float],
) -> dict[str, Any]:
    """The result as plain values, the machine and the versions with it."""
    return {
        "what": "seconds of work per second of media, from a file to its decision, imports and "
        "loading left out; medians over rounds",
        "bundle": args.bundle.name,
        "threads": args.threads,
        "rounds": args.rounds,
        "limits": {size: {"must": must, "aim": aim} for size, (must, aim) in LIMITS.items()},
        "device": {
            "processor": described_processor(),
            "cores": len(os.sched_getaffinity(0)),
            "load_average_before": load_before,
            "load_average_after": load_average(),
            "system": platform.platform(terse=True),
        },
        "versions": versions() | {"av": av.__version__},
        "commit": commit(),
        "against": (args.against_is or commit_of(trees["old"])) if "old" in trees else None,
        "results": rows,
    }


def as_markdown(outcome: dict[str, Any]) -> str:
    """The result as a page."""
    device, rows = outcome["device"], outcome["results"]
    old = outcome["against"]
    turns = f", in turns with {old}" if old else ""
    loads = "{:.1f} to {:.1f}".format(
        device["load_average_before"][0], device["load_average_after"][0]
    )
    lines = [
        "# From a file to its decision",
        "",
        f"`python benchmarks/file_to_decision.py`, commit `{outcome['commit'][:12]}`{turns}; "
        f"bundle `{outcome['bundle']}`, {outcome['threads']} threads; {device['processor']}, "
        f"{device['cores']} cores, load {loads} (this benchmark's own included).",
        "",
        f"Real-time factor: seconds of wall time per second of media, median of "
        f"{outcome['rounds']} rounds (least to most). CPU: seconds of all threads per second of "
        "media. Difference: largest change of a probability.",
        "",
        "| clip | size | s | real-time factor | CPU | "
        + ("was | CPU was | times as fast | difference |" if old else ""),
        "|---|---|---|---|---|" + ("---|---|---|---|" if old else ""),
        *(_row(row, bool(old)) for row in rows),
        "",
        "Wall milliseconds within each stage; stages run beside each other, so that they can add "
        "up to more than the wall time.",
        "",
        "| clip | tree | " + " | ".join(STAGES) + " |",
        "|---|---|" + "---|" * len(STAGES),
    ]
    for row in rows:
        for name in ("old", "new"):
            if name in row:
                cells = " | ".join(f"{row[name]['stages_ms'][stage]:.0f}" for stage in STAGES)
                lines.append(f"| {row['clip']} | {name} | {cells} |")
    return "\n".join(lines) + "\n"


def _row(row: dict[str, Any], compared: bool) -> str:
    new = row["new"]
    text = (
        f"| {row['clip']} | {row['size']} | {row['media_s']:.1f} | {new['rtf']:.3f} "
        f"({new['rtf_least']:.3f} to {new['rtf_most']:.3f}) | {new['cpu_per_media_s']:.3f} |"
    )
    if compared:
        old = row["old"]
        text += (
            f" {old['rtf']:.3f} | {old['cpu_per_media_s']:.3f} | {row['times_as_fast']:.2f} | "
            f"{row['largest_difference_of_probabilities']:.1e} |"
        )
    return text


def write(file: Path, text: str) -> None:
    with new_file(file, "writing the result") as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
