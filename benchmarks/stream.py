"""How soon a stream decides, and whether it grows; writes results/stream.{json,md}.

    python benchmarks/stream.py --bundle BUNDLE --clip CLIP.mp4 [--clip ...]

Each clip is looped into one long recording without encoding it again. For the latency it arrives in
real time, packet by packet (``mer-edge infer --stream FILE --realtime``): a decision's delay counts
from the moment at which its last segment ends on the recording's clock, so decoding, the packets'
own length and waiting are in it. Before and after each run a whole window is recognised from its
clip, as a user without a stream would have to for every decision. For the growth an hour of the
first clip goes through a pipe as fast as decisions are made, nothing left out; resident memory is
read from the system after every decision.

Rows of clips that are not measured anew stay as they are in results/stream.json, with their commit
and load; ``--seconds 0`` and ``--hour 0`` leave out a part. With ``--add`` a clip's decisions are
put together with those of earlier runs, which can then be short on a machine that others use.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from benchmarks.stream_page import as_markdown, pooled
from mer_edge.checkout import commit
from mer_edge.clip import Clip
from mer_edge.clips import ClipOptions, load_clips
from mer_edge.files import new_file
from mer_edge.process_memory import peak_memory
from mer_edge.text.source import TextOptions
from runtime.bench.machine import described_processor, versions
from runtime.bench.stability import load_average
from runtime.recognizer import Recognizer
from runtime.stream.live import LiveReader
from runtime.stream.session import Session, SessionOptions
from runtime.stream.source import parse_source

COMMIT = commit()
"""Now: others may commit while this runs."""
RESULTS = Path(__file__).resolve().parent / "results"
TEXTS = ("I never said that.", "You did, and you know it very well.")
MUST_MS, AIM_MS = 150.0, 60.0
WARM_UP_S = 10.0
"""Left out of the latencies: first runs of the engine and of the detector."""
TEXT_EVERY_S = 9.6
"""In the run with changing texts."""
RECOMPUTE = 10
"""So often the whole window is recognised anew, before a run and after it."""


def main() -> int:
    """Returns 0 where the latency and the memory are within what they must be, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--clip", type=Path, action="append", required=True, metavar="FILE")
    parser.add_argument("--seconds", type=float, default=120.0, help="of real time (default: 120)")
    parser.add_argument("--hour", type=float, default=3600.0, metavar="S", help="default: 3600")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--window-segments", type=int, default=5)
    parser.add_argument("--add", action="store_true", help="to the decisions of earlier runs")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR")
    args = parser.parse_args()
    recognizer = Recognizer(args.bundle, threads=args.threads)
    outcome = describe(recognizer, args)
    keep(outcome, args.out / "stream.json")
    with tempfile.TemporaryDirectory() as folder:
        for clip in args.clip if args.seconds else []:
            long = looped(clip, Path(folder) / f"{clip.stem}.mkv", args.seconds + WARM_UP_S)
            for changes in (False, True):
                row = latency(recognizer, long, args.window_segments, changes)
                row["clip"] = describe_clip(clip)
                replace_row(outcome["latency"], row, add=args.add)
            long.unlink()
        if args.hour:
            long = looped(args.clip[0], Path(folder) / "hour.mkv", args.hour)
            outcome["memory"] = memory(recognizer, long, args.window_segments, args.hour)
    write(args.out / "stream.json", json.dumps(outcome, indent=1) + "\n")
    write(args.out / "stream.md", as_markdown(outcome))
    print(as_markdown(outcome))
    worst = max(
        (pooled(row, "from_segment_end_ms")["p99"] for row in outcome["latency"]), default=0.0
    )
    grew = outcome["memory"]["grows"] if outcome["memory"] else False
    return 0 if worst <= MUST_MS and not grew else 1


def keep(outcome: dict[str, Any], file: Path) -> None:
    """What an earlier run of the same bundle measured."""
    if file.is_file():
        old = json.loads(file.read_text())
        if all(old[name] == outcome[name] for name in ("bundle", "threads", "window_segments")):
            outcome["latency"], outcome["memory"] = old["latency"], old["memory"]


def replace_row(rows: list[dict[str, Any]], new: dict[str, Any], *, add: bool) -> None:
    """Put a row in the place of the one it repeats, or its decisions together with that one's."""
    same = [
        row
        for row in rows
        if row["clip"] == new["clip"] and bool(row["text_changes"]) == bool(new["text_changes"])
    ]
    for row in same:
        rows.remove(row)
        if add:
            new["runs"] = row["runs"] + new["runs"]
            new["text_changes"] += row["text_changes"]
    rows.append(new)
    rows.sort(key=lambda row: (row["clip"]["size_px"], row["text_changes"]))


def looped(clip: Path, target: Path, seconds: float) -> Path:
    """The clip's packets again and again, their time stamps counted on.

    A loop is as long as the clip's sound, so that this goes on without a seam; a last frame that
    reaches beyond it is left out.
    """
    with av.open(str(clip)) as source, av.open(str(target), "w") as sink:
        kept = [source.streams.video[0], source.streams.audio[0]]
        streams: dict[int, Any] = {s.index: sink.add_stream_from_template(s) for s in kept}
        packets = [packet for packet in source.demux(kept) if packet.dts is not None]
        sound = [packet for packet in packets if packet.stream is kept[1]]
        length_s = float(sum(packet.duration for packet in sound) * sound[0].time_base)
        first_dts = {s.index: min(p.dts for p in packets if p.stream is s) for s in kept}
        data = [
            (p.stream_index, bytes(p), p.pts, p.dts, p.duration, p.time_base, p.is_keyframe)
            for p in packets
            if float((p.dts + p.duration - first_dts[p.stream_index]) * p.time_base) <= length_s
            or p.stream is kept[1]
        ]
        start_s = 0.0
        while start_s < seconds:
            for index, content, pts, dts, duration, base, key in data:
                packet = av.Packet(content)
                shift = round(start_s / base)
                packet.stream, packet.time_base = streams[index], base
                packet.pts, packet.dts, packet.duration = pts + shift, dts + shift, duration
                packet.is_keyframe = key
                sink.mux(packet)
            start_s += length_s
    return target


def latency(recognizer: Recognizer, path: Path, window: int, changes: bool) -> dict[str, Any]:
    """Delays of the decisions on a recording that arrives in real time."""
    text = TextOptions(text=TEXTS[0])
    options = SessionOptions(ClipOptions(text=text), window_segments=window, realtime=True)
    session = Session(recognizer, parse_source(str(path)), options)
    again = whole_window(path, window)
    delays_ms: list[float] = []
    arrivals_ms: list[float] = []
    spent_ms: list[float] = []
    anew_ms = whole_window_ms(recognizer, again)
    texts = 0
    with session:
        for result in session.results():
            now_s = time.perf_counter()
            assert isinstance(session.reader, LiveReader)
            assert session.reader.pacer is not None
            assert session.reader.pacer.began_s is not None
            if (result.start_s == 0.0 and result.segments < window) or result.end_s < WARM_UP_S:
                continue
            delays_ms.append((now_s - session.reader.pacer.began_s - result.end_s) * 1e3)
            arrivals_ms.append(result.timings_ms["latency"])
            spent_ms.append(result.timings_ms["total"])
            if changes and result.end_s > (texts + 1) * TEXT_EVERY_S + WARM_UP_S:
                texts += 1
                session.stream.set_text(TEXTS[texts % 2])
    anew_ms += whole_window_ms(recognizer, again)
    run = {
        "from_segment_end_ms": delays_ms[:-1],
        "from_last_sound_ms": arrivals_ms[:-1],
        "work_a_decision_ms": spent_ms[:-1],
        "whole_window_anew_ms": anew_ms,
        "counts": asdict(session.stream.counts),
        "load_average": load_average()[0],
        "commit": COMMIT,
    }
    return {"text_changes": texts, "runs": [run]}


def whole_window_ms(recognizer: Recognizer, clip: Clip) -> list[float]:
    """Of the network on a whole window, a few times."""
    spent_ms = []
    for _ in range(RECOMPUTE):
        began_s = time.perf_counter()
        recognizer.run_batch([clip])
        spent_ms.append((time.perf_counter() - began_s) * 1e3)
    return spent_ms


def whole_window(path: Path, window: int) -> Clip:
    """A clip of as many segments, decoded and its faces found: what is left is the network."""
    words = TextOptions(text=TEXTS[0])
    options = ClipOptions(text=words, start_s=0.96, end_s=0.96 * (window + 1))
    (clip,) = load_clips(path, options)
    return clip


def memory(recognizer: Recognizer, path: Path, window: int, seconds: float) -> dict[str, Any]:
    """Resident memory over a recording that goes through a pipe as fast as it is decided on."""
    pipe = path.with_suffix(".pipe")
    os.mkfifo(pipe)
    threading.Thread(target=fill, args=(path, pipe), daemon=True).start()
    options = SessionOptions(ClipOptions(text=TextOptions(text=TEXTS[0])), window)
    session = Session(recognizer, parse_source(str(pipe)), options)
    began_s = time.perf_counter()
    # Made beforehand and written once: what is measured must not grow by being measured.
    resident = np.full((int(seconds / 0.96), 2), 1.0)
    count = 0
    with session:
        results = session.results()
        for count, result in zip(track(range(1, len(resident) + 1)), results, strict=False):
            resident[count - 1] = result.end_s, resident_mb()
    wall_s = time.perf_counter() - began_s
    return {
        "clip": describe_clip(path),
        **growth(resident[:count]),
        "wall_s": wall_s,
        "counts": asdict(session.stream.counts),
        "load_average": load_average(),
        "commit": COMMIT,
    }


def growth(resident: NDArray[np.float64]) -> dict[str, Any]:
    """How memory went; it grows if the last tenth lies more than 1 % above the second.

    Args:
        resident: shape = (decisions, 2): the stream's time in s and memory in MB.
    """
    times_s, values_mb = resident.T
    tenth = len(values_mb) // 10
    early, late = values_mb[tenth : 2 * tenth], values_mb[-tenth:]
    slope = float(np.polyfit(times_s[tenth:] / 3600, values_mb[tenth:], 1)[0])
    change = float(np.median(late) - np.median(early))
    spread = float(np.percentile(values_mb[tenth:], 99) - np.percentile(values_mb[tenth:], 1))
    every = max(1, len(values_mb) // 12)
    return {
        "decisions": len(values_mb),
        "simulated_s": float(times_s[-1]),
        "second_tenth_mb": float(np.median(early)),
        "last_tenth_mb": float(np.median(late)),
        "change_mb": change,
        "spread_mb": spread,
        "slope_mb_per_hour": slope,
        "grows": change > max(1.0, 0.01 * float(np.median(early))),
        "minutes_mb": [
            [round(float(t) / 60, 1), round(float(v), 1)]
            for t, v in zip(times_s[::every], values_mb[::every], strict=True)
        ],
    }


def fill(path: Path, pipe: Path) -> None:
    """Writes a file into a pipe until nobody reads."""
    try:
        with path.open("rb") as source, pipe.open("wb") as sink:
            while piece := source.read(1 << 16):
                sink.write(piece)
    except BrokenPipeError:
        return


def resident_mb() -> float:
    """Of this process, now, what is its own: mapped files are the system's to take back."""
    found = peak_memory()
    if found is None or found.anonymous_bytes is None:
        raise SystemExit("the memory run needs Linux: /proc/self/status")
    return found.anonymous_bytes / 1e6


def describe(recognizer: Recognizer, args: argparse.Namespace) -> dict[str, Any]:
    """What was measured on what."""
    manifest = recognizer.bundle.manifest
    return {
        "what": "mer-edge infer --stream: delay of decisions, and resident memory over an hour",
        "must_ms": MUST_MS,
        "aim_ms": AIM_MS,
        "bundle": {
            "preset": manifest.preset,
            "variant": manifest.variant,
            "precisions": {name: spec.precision for name, spec in manifest.graphs.items()},
        },
        "threads": args.threads,
        "window_segments": args.window_segments,
        "device": {
            "processor": described_processor(),
            "cores": len(os.sched_getaffinity(0)),
            "system": platform.platform(terse=True),
        },
        "versions": versions(),
        "commit": COMMIT,
        "latency": [],
        "memory": None,
    }


def describe_clip(clip: Path) -> dict[str, Any]:
    """Its size and codecs; its name says who is in it."""
    with av.open(str(clip)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        return {
            "name": clip.name,
            "size_px": [video.codec_context.width, video.codec_context.height],
            "frames_per_s": float(video.average_rate),
            "codecs": [video.codec_context.name, audio.codec_context.name],
            "sample_rate_hz": audio.codec_context.sample_rate,
        }


def write(file: Path, text: str) -> None:
    with new_file(file, "writing the result") as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
