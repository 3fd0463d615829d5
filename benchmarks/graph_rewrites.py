"""What the rewrites of the exported graphs bring; writes results/graph-rewrites.{json,md}.

Those that every export applies on the preset ``paper`` and ``edge`` with random weights, before
and after; the face encoder in two graphs; and those that were tried: VGGish's fully connected
layers in eight bits and of low rank, a smaller vocabulary.

    python benchmarks/graph_rewrites.py [--text-run RUN --corpus FOLDER]
        [--audio-run RUN --sounds manifest.jsonl]

The parts on real weights are left out where their data is not named.
"""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path
from typing import Any

import onnxruntime
import torch

from benchmarks.outcome import publish
from benchmarks.rewrites import exact, layers, low_rank, split, vocabulary
from runtime.bench.machine import described_processor
from runtime.bench.stability import load_average

RESULTS = Path(__file__).resolve().parent / "results"
EXACT = (
    ("paper", "spatial", ("text", "audio", "visual")),
    ("paper", "key", ("audio", "visual")),
    ("paper", "tokens", ("audio", "visual")),
    ("edge", "spatial", ("text", "audio", "visual")),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--text-run", type=Path, metavar="RUN", help="of the variant text")
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="with train.tsv and dev.tsv")
    parser.add_argument("--audio-run", type=Path, metavar="RUN", help="of the variant audio")
    parser.add_argument("--sounds", type=Path, metavar="FILE", help="a data set's manifest.jsonl")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="default: 9")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR")
    args = parser.parse_args()
    torch.set_num_threads(1)
    outcome = measure(args)
    publish(outcome, as_markdown(outcome), args.out, "graph-rewrites")
    return 0


def measure(args: argparse.Namespace) -> dict[str, Any]:
    outcome: dict[str, Any] = {
        "device": {
            "processor": described_processor(),
            "cores": os.cpu_count(),
            "load": [round(x, 1) for x in load_average()],
            "system": platform.platform(terse=True),
            "onnxruntime": onnxruntime.__version__,
            "rounds": args.rounds,
        },
        "exact": [row for what in EXACT for row in exact.measure(*what, rounds=args.rounds)],
        "split": split.measure(exact.trace("paper", "spatial", split.ORDER), args.rounds),
        "layers": layers.measure(args.rounds),
    }
    if args.audio_run and args.sounds:
        outcome["low_rank"] = low_rank.measure(args.audio_run, args.sounds)
    if args.text_run and args.corpus:
        outcome["vocabulary"] = vocabulary.measure(args.text_run, args.corpus)
    return outcome


def as_markdown(outcome: dict[str, Any]) -> str:
    device = outcome["device"]
    parts = [
        "# Rewrites of the graphs, measured",
        f"{device['processor']}, {device['cores']} cores shared with other work (load "
        f"{device['load'][0]}), ONNX Runtime {device['onnxruntime']}, CPU; random weights unless "
        f"said otherwise; medians of {device['rounds']} rounds in turn. Made by "
        "`benchmarks/graph_rewrites.py`; what follows from it is in "
        "[docs/rewrites.md](../../docs/rewrites.md).",
        "## Applied by every export\n\nProcessor time of one thread, milliseconds.",
        _table(("preset", "SEMs", "graph", "rewrite", "sizes", "before", "after", "ratio",
                "bytes", "max abs difference"), map(_exact_row, outcome["exact"])),
        "## The face encoder in two graphs\n\nPreset `paper`, 32 tokens. Wall time, "
        "two threads, median (least).",
        _table(("segments", "way", "ms", "ratio"), _split_rows(outcome["split"])),
        "Processor time of one thread, ms:",
        _table(("segments", *outcome["split"][0]["parts"]),
               ([r["segments"], *(f"{p['ms']:.1f}" for p in r["parts"].values())]
                for r in outcome["split"])),
        "## VGGish's fully connected layers in eight bits\n\nSizes of `paper`; processor time "
        "of one thread.",
        _table(("way", "segments", "ms", "ratio", "MB", "relative error"),
               ([r["way"], r["segments"], f"{r['ms']:.1f}", f"{r['ratio']:.2f}",
                 f"{r['bytes'] / 1e6:.0f}", f"{r['relative_error']:.3f}"]
                for r in outcome["layers"])),
    ]  # fmt: skip
    if "low_rank" in outcome:
        parts += _low_rank(outcome["low_rank"])
    if "vocabulary" in outcome:
        parts += _vocabulary(outcome["vocabulary"])
    return "\n\n".join(parts) + "\n"


def _exact_row(row: dict[str, Any]) -> list[str]:
    times, size = row["times"], row["bytes"]
    sizes = ", ".join(f"{k} {v}" for k, v in row["sizes"].items())
    return [
        row["preset"], row["form"], row["graph"], ", ".join(row["applied"]), sizes,
        f"{times['before']['ms']:.2f}", f"{times['after']['ms']:.2f}",
        f"{times['after']['ratio']:.3f}", f"{size['after'] - size['before']:+,}",
        f"{row['max_abs_difference']:.1e}",
    ]  # fmt: skip


def _split_rows(rows: list[dict[str, Any]]) -> list[list[str]]:
    return [
        [str(row["segments"]), way, f"{t['ms']:.0f} ({t['least_ms']:.0f})", f"{t['ratio']:.2f}"]
        for row in rows
        for way, t in row["times"].items()
    ]


def _low_rank(found: dict[str, Any]) -> list[str]:
    inputs, outputs = found["layer"]
    return [
        f"## The first of them of low rank\n\nTrained weights ({inputs} x {outputs}, "
        f"{found['weights']:,}) on real sounds: fitted on {found['segments']['fit']} segments, "
        f"judged on {found['segments']['test']} of other speakers.",
        _table(("rank", "how", "weights", "relative error of the layer"),
               ([r["rank"], r["how"], f"{r['weights']:,}", f"{r['relative_error']:.3f}"]
                for r in found["rows"])),
    ]  # fmt: skip


def _vocabulary(found: dict[str, Any]) -> list[str]:
    return [
        f"## A smaller vocabulary\n\nOf {found['tokens']:,} tokens those that are in the training "
        "sentences at least so many times, with all single characters; judged on other sentences "
        "of the corpus, with trained weights. Sentences whose tokens are the same give the same "
        "decision; some of the others were compared.",
        _table(("least count", "tokens", "MB saved (384 wide)", "MB saved (768)",
                "sentences with other tokens", "more tokens", "same decisions of those compared",
                "mean and largest change of a probability"),
               ([r["least_count"], f"{r['tokens']:,}", r["megabytes_saved"]["MiniLM"],
                 r["megabytes_saved"]["BERT-base"], f"{r['changed']} of {r['sentences']}",
                 f"{r['more_tokens']:.1%}", f"{r['same_decisions']} of {r['compared']}",
                 f"{r['mean_probability_change']:.3f}, {r['largest_probability_change']:.3f}"]
                for r in found["rows"])),
    ]  # fmt: skip


def _table(head: Any, rows: Any) -> str:
    lines = [list(head), ["---"] * len(list(head)), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


if __name__ == "__main__":
    raise SystemExit(main())
