"""The page of benchmarks/stream.py: results/stream.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np


def as_markdown(outcome: dict[str, Any]) -> str:
    """The result as a page."""
    device, bundle = outcome["device"], outcome["bundle"]
    precisions = ", ".join(f"{name} {kind}" for name, kind in bundle["precisions"].items())
    lines = [
        "# Stream: how soon it decides, and whether it grows",
        "",
        f"`python benchmarks/stream.py`, commit `{outcome['commit'][:12]}`, "
        f"{device['processor']}, {device['cores']} cores, {outcome['threads']} threads; bundle "
        f"`{bundle['preset']}` ({precisions}), window of {outcome['window_segments']} segments.",
        "",
        "A recording arrives in real time. Milliseconds from the end of the window's last segment "
        f"to the decision (must {outcome['must_ms']:g}, aim {outcome['aim_ms']:g} at p99): what "
        "remains of the packet it ends in, decoding and waiting are in it; then of that the part "
        "after the packet had come. *Window anew* is the network on a whole window, before "
        "and after each run: the ratio is of medians. *Load* is the machine's average at the "
        "end of each run, other people's work included.",
        "",
        "| recording | text | decisions | p50 | p90 | p99 | most | after the packet p50 | p99 | "
        "window anew | as fast | dropped | load |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
        *(latency_line(row) for row in outcome["latency"]),
    ]
    if outcome["memory"]:
        lines += ["", *memory_lines(outcome["memory"])]
    return "\n".join(lines) + "\n"


def latency_line(row: dict[str, Any]) -> str:
    clip, end = row["clip"], pooled(row, "from_segment_end_ms")
    last, anew = pooled(row, "from_last_sound_ms"), pooled(row, "whole_window_anew_ms")
    size = " x ".join(str(side) for side in clip["size_px"])
    text = f"changes {row['text_changes']} times" if row["text_changes"] else "one"
    decisions = sum(len(run["from_segment_end_ms"]) for run in row["runs"])
    dropped = sum(run["counts"]["dropped_frames"] for run in row["runs"])
    loads = ", ".join(f"{run['load_average']:.1f}" for run in row["runs"])
    return (
        f"| {size}, {clip['frames_per_s']:.3g} Hz | {text} | {decisions} | {end['p50']:.1f} "
        f"| {end['p90']:.1f} | {end['p99']:.1f} | {end['max']:.1f} | {last['p50']:.1f} | "
        f"{last['p99']:.1f} | {anew['p50']:.1f} | {anew['p50'] / last['p50']:.1f} x | {dropped} | "
        f"{loads} |"
    )


def memory_lines(memory: dict[str, Any]) -> Iterator[str]:
    size = " x ".join(str(side) for side in memory["clip"]["size_px"])
    yield (
        f"{memory['simulated_s'] / 60:.0f} minutes of a recording ({size}) through a pipe, "
        f"{memory['decisions']} decisions in {memory['wall_s']:.0f} s with face detection, nothing "
        "cached from one loop to the next. Anonymous resident memory, median of the second tenth "
        f"{memory['second_tenth_mb']:.1f} MB, of the last {memory['last_tenth_mb']:.1f} MB: "
        f"{memory['change_mb']:+.1f} MB, where it varies by {memory['spread_mb']:.1f} MB in "
        f"between (slope {memory['slope_mb_per_hour']:+.1f} MB an hour): "
        f"{'it grows' if memory['grows'] else 'no growth to be measured'}."
    )
    series = memory["minutes_mb"]
    (then, before_mb), (_, after_mb) = series[len(series) // 4], series[-1]
    yield ""
    yield f"From minute {then:g} to the end: {after_mb - before_mb:+.1f} MB."
    yield ""
    yield "| minute | " + " | ".join(f"{minute:g}" for minute, _ in memory["minutes_mb"]) + " |"
    yield "|---" * (len(memory["minutes_mb"]) + 1) + "|"
    yield "| MB | " + " | ".join(f"{value:g}" for _, value in memory["minutes_mb"]) + " |"


def pooled(row: dict[str, Any], name: str) -> dict[str, float]:
    """Quantiles of a measurement over a row's runs."""
    return quantiles([value for run in row["runs"] for value in run[name]])


def quantiles(values_ms: list[float]) -> dict[str, float]:
    """p50, p90, p99 and the largest; nothing is clipped."""
    p50, p90, p99 = (float(np.percentile(values_ms, share)) for share in (50, 90, 99))
    return {"p50": p50, "p90": p90, "p99": p99, "max": max(values_ms)}
