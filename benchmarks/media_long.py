"""Memory over a long file; writes results/media-long.{json,md}.

A file of hours with picture, sound and an .srt of a cue every few seconds is made, and `mer-edge
infer` recognises it, as a user would. Its resident memory is sampled, and when each result appears.

    python benchmarks/media_long.py BUNDLE [--hours 2] [--cue-every-s 2.5]

The picture is a drawn face on a slow pan, 160 x 120 at 5 frames a second; the sound is a tone. What
is measured is growth, not speed: a file of a camera costs more a second, and no more an hour.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from mer_edge.checkout import commit
from mer_edge.doctor.drawn_face import draw_face
from mer_edge.files import new_file
from runtime.bench.machine import described_processor
from runtime.bench.stability import load_average
from train.provenance import versions

RESULTS = Path(__file__).resolve().parent / "results"
FRAME_RATE_HZ, SIZE, SOUND_RATE_HZ = 5, (160, 120), 16000
SETTLED_SHARE = 0.25
"""The first quarter is not looked at for growth: sessions and the allocator are still warming."""
MOST_GROWTH_MIB = 16.0


def main() -> int:
    """Returns 0 where every cue has its result and memory does not grow, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("--hours", type=float, default=2.0, metavar="H", help="default: 2")
    parser.add_argument("--cue-every-s", type=float, default=2.5, metavar="S", help="default: 2.5")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="default: 2")
    parser.add_argument("--stop-after", type=int, default=0, metavar="N", help="then press Ctrl-C")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        media = write_long_file(Path(folder) / "long.mp4", args.hours * 3600)
        cues = write_cues(media.with_suffix(".srt"), args.hours * 3600, args.cue_every_s)
        made_s = time.monotonic() - started
        if args.stop_after:
            return interrupted(args, media)
        run = watch(infer(args.bundle, media, args.threads))
    outcome = describe(args, cues, made_s, run)
    write(args.out / "media-long.json", json.dumps(outcome, indent=1) + "\n")
    write(args.out / "media-long.md", as_markdown(outcome))
    print(as_markdown(outcome))
    return 0 if outcome["results"] == cues and outcome["growth_mib"] <= MOST_GROWTH_MIB else 1


def write_long_file(path: Path, duration_s: float) -> Path:
    """An mp4 with a face that pans and a tone."""
    with av.open(str(path), "w") as target:
        video = target.add_stream("libx264", rate=FRAME_RATE_HZ, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        video.codec_context.gop_size = 10 * FRAME_RATE_HZ
        sound = target.add_stream("aac", rate=SOUND_RATE_HZ, layout="mono")
        for second in range(round(duration_s)):
            for frame in pictures(second):
                target.mux(video.encode(frame))
            for block in tones(second):
                target.mux(sound.encode(block))
        target.mux([*video.encode(None), *sound.encode(None)])
    return path


def pictures(second: int) -> Iterator[av.VideoFrame]:
    for number in range(second * FRAME_RATE_HZ, (second + 1) * FRAME_RATE_HZ):
        frame = av.VideoFrame.from_ndarray(drawn(number % 40), format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, FRAME_RATE_HZ)
        yield frame


def drawn(shift_px: int) -> NDArray[np.uint8]:
    canvas = np.full((SIZE[1], SIZE[0], 3), 110, np.uint8)
    face = cv2.resize(draw_face(), (100, 100), interpolation=cv2.INTER_AREA)
    canvas[10:110, 10 + shift_px : 110 + shift_px] = face
    return canvas


def tones(second: int) -> Iterator[av.AudioFrame]:
    times = second + np.arange(SOUND_RATE_HZ) / SOUND_RATE_HZ
    wave = 0.2 * np.sin(2 * np.pi * 220 * times)
    samples = np.ascontiguousarray(wave, np.float32)[None]
    for start in range(0, SOUND_RATE_HZ, 1000):
        part = np.ascontiguousarray(samples[:, start : start + 1000])
        block = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
        block.sample_rate, block.time_base = SOUND_RATE_HZ, Fraction(1, SOUND_RATE_HZ)
        block.pts = second * SOUND_RATE_HZ + start
        yield block


def write_cues(path: Path, duration_s: float, every_s: float) -> int:
    """A cue of nine tenths of the time between them; returns how many."""
    count = int((duration_s - 1) / every_s)
    lines = []
    for number in range(count):
        start_s = number * every_s
        end_s = start_s + 0.9 * every_s
        lines.append(f"{number + 1}\n{clock(start_s)} --> {clock(end_s)}\nLine {number + 1}.\n\n")
    path.write_text("".join(lines), encoding="utf-8")
    return count


def clock(time_s: float) -> str:
    minutes, ms = divmod(round(time_s * 1000), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{ms // 1000:02},{ms % 1000:03}"


def infer(bundle: Path, media: Path, threads: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-u", "-m", "mer_edge", "infer", str(bundle.resolve()), str(media)]
    command += ["--json", "--threads", str(threads)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=RESULTS.parents[1],
    )


def watch(process: subprocess.Popen[str]) -> dict[str, Any]:
    """When each result came, and the resident memory twice a second."""
    samples: list[dict[str, float]] = []
    arrivals_s: list[float] = []
    started = time.monotonic()

    def sample() -> None:
        while process.poll() is None:
            mib = resident_mib(process.pid)
            if mib:
                elapsed_s = time.monotonic() - started
                samples.append({"s": elapsed_s, "results": len(arrivals_s), "mib": mib})
            time.sleep(0.5)

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    assert process.stdout is not None
    for line in process.stdout:
        json.loads(line)["probabilities"]
        arrivals_s.append(time.monotonic() - started)
    code = process.wait()
    sampler.join()
    if code:
        raise SystemExit(f"mer-edge infer ended with {code} after {len(arrivals_s)} results")
    return {"samples": samples, "arrivals_s": arrivals_s, "wall_s": time.monotonic() - started}


def resident_mib(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def interrupted(args: argparse.Namespace, media: Path) -> int:
    """Press Ctrl-C after some results; the process must end, with its results written."""
    process = infer(args.bundle, media, args.threads)
    assert process.stdout is not None
    for _ in range(args.stop_after):
        process.stdout.readline()
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    rest = process.communicate(timeout=60)[0].splitlines()
    whole = all(json.loads(line) for line in rest)
    print(
        f"Ctrl-C after {args.stop_after} results: ended after {time.monotonic() - started:.2f} s "
        f"with code {process.returncode}, {len(rest)} more lines, {'all' if whole else 'not all'} "
        "of them whole"
    )
    return 0 if process.returncode == 130 and whole else 1


def describe(
    args: argparse.Namespace, cues: int, made_s: float, run: dict[str, Any]
) -> dict[str, Any]:
    """The result as plain values, the machine and the versions with it."""
    settled = [s for s in run["samples"] if s["results"] >= SETTLED_SHARE * cues]
    early, late = np.array_split(np.array([s["mib"] for s in settled]), 2)
    quarters = np.array_split(np.array([s["mib"] for s in run["samples"]]), 8)
    return {
        "what": "resident memory of mer-edge infer over a long file with subtitles",
        "hours": args.hours,
        "cues": cues,
        "results": len(run["arrivals_s"]),
        "bundle": args.bundle.name,
        "threads": args.threads,
        "file_made_s": made_s,
        "first_result_s": run["arrivals_s"][0],
        "wall_s": run["wall_s"],
        "longest_pause_s": float(np.diff(run["arrivals_s"]).max()),
        "peak_mib": max(s["mib"] for s in run["samples"]),
        "growth_mib": float(statistics.median(late) - statistics.median(early)),
        "median_mib_by_eighth": [float(np.median(part)) for part in quarters],
        "device": {
            "processor": described_processor(),
            "load_average_at_end": load_average(),
            "system": platform.platform(terse=True),
        },
        "versions": versions() | {"av": av.__version__},
        "commit": commit(),
        "samples": run["samples"][:: max(1, len(run["samples"]) // 200)],
    }


def as_markdown(outcome: dict[str, Any]) -> str:
    """The result as a page."""
    eighths = " | ".join(f"{mib:.0f}" for mib in outcome["median_mib_by_eighth"])
    return (
        "# Memory over a long file\n\n"
        f"`python benchmarks/media_long.py`, commit `{outcome['commit'][:12]}`, "
        f"{outcome['device']['processor']} at a load of "
        f"{outcome['device']['load_average_at_end'][0]:.0f}, bundle `{outcome['bundle']}`: "
        f"`mer-edge infer` on {outcome['hours']:g} hours of video with sound "
        f"and {outcome['cues']} cues.\n\n"
        f"- results: {outcome['results']}, the first after {outcome['first_result_s']:.1f} s, the "
        f"last after {outcome['wall_s']:.0f} s, never more than "
        f"{outcome['longest_pause_s']:.1f} s between two;\n"
        f"- growth of resident memory from the first to the second half of the run (its first "
        f"quarter left out): {outcome['growth_mib']:+.1f} MiB; peak {outcome['peak_mib']:.0f} "
        "MiB.\n\nMedian resident memory of each eighth of the run, MiB:\n\n"
        "| 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 |\n|---|---|---|---|---|---|---|---|\n"
        f"| {eighths} |\n"
    )


def write(file: Path, text: str) -> None:
    with new_file(file, "writing the result") as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
