"""The result as Markdown."""

from __future__ import annotations

from typing import Any

from benchmarks.gpu.latency import COMPILED, EAGER, RUNS_A_TURN

MUST = {EAGER: (5.0, 10.0), COMPILED: (1.2, 2.0)}
"""What a backend in half precision is to reach, and to aim at."""
FLOOR_MUST = 3.0
MB = 1e6


def as_markdown(outcome: dict[str, Any]) -> str:
    """Of the outcome that is written as JSON."""
    lines = [
        f"# On {outcome['gpu']}",
        "",
        f"`make bench-gpu`, {outcome['measured']}, commit {outcome['commit'] or 'unknown'}; "
        f"compute capability {outcome['compute_capability']}, driver {outcome['driver']}, "
        f"{outcome['system']}.",
        "",
    ]
    for bundle in outcome["bundles"]:
        lines += [f"## {bundle['bundle']} ({bundle['preset']}, {bundle['precision']})", ""]
        lines += _steps(bundle["steps"])
        if "latency" in bundle:
            lines += _floor(bundle)
            lines += _latency(bundle)
    return "\n".join(lines)


def _steps(steps: list[dict[str, Any]]) -> list[str]:
    rows = ["| step | outcome |", "|---|---|"]
    for step in steps:
        told = "ok" if step["exit_code"] == 0 else f"failed: {_last(step['stderr'])}"
        rows.append(f"| `{step['command']}` | {told} |")
    return [*rows, ""]


def _last(lines: list[str]) -> str:
    return lines[-1].replace("|", "\\|") if lines else "said nothing"


def _floor(bundle: dict[str, Any]) -> list[str]:
    floor = bundle["floor"]
    if "refused" in floor:
        return [f"The bandwidth was not measured: {floor['refused']}", ""]
    return [
        f"A clip reads {floor['weight_bytes'] / MB:.0f} MB of weights; a copy within the GPU's "
        f"memory moved {floor['bytes_per_s'] / 1e9:.0f} GB/s: {floor['floor_ms']:.3f} ms is the "
        "least that reading them takes.",
        "",
    ]


def _latency(bundle: dict[str, Any]) -> list[str]:
    settings = bundle["settings"]
    rows = [
        f"One clip of {settings['segments']} segments and {settings['tokens']} tokens, from arrays "
        f"on the host to logits on the host, in {settings['rounds']} rounds of {RUNS_A_TURN} runs. "
        "Ratios are of medians with 95 % confidence.",
        "",
        f"| | engine | median ms | of {EAGER} | of {COMPILED} | floors |",
        "|---|---|---|---|---|---|",
    ]
    for row in bundle["latency"]:
        if "latency" not in row:
            rows.append(f"| {row['name']} | {row.get('refused', 'not measured')} | | | | |")
            continue
        median = row["latency"]["p50_ms"]
        # What must be reached is said of half precision, which is what PyTorch runs here.
        judged = bundle["precision"] == "fp16" and row["name"] not in MUST
        ratios = [_ratio(row, peer, judged) for peer in (EAGER, COMPILED)]
        floors = _floors(bundle["floor"], median, judged)
        engine = row["engine"].replace("|", "\\|")
        rows.append(
            f"| {row['name']} | {engine} | {median:.3f} | {' | '.join(ratios)} | {floors} |"
        )
    return [*rows, ""]


def _ratio(row: dict[str, Any], peer: str, judged: bool) -> str:
    found = row["against"].get(peer)
    if found is None:
        return ""
    told = f"{found['of_medians']:.2f} x ({found['low']:.2f} to {found['high']:.2f})"
    if not judged:
        return told
    must, aim = MUST[peer]
    reached = "aim" if found["of_medians"] >= aim else "must"
    return f"{told}, {reached if found['of_medians'] >= must else 'missed'}"


def _floors(floor: dict[str, Any], median_ms: float, judged: bool) -> str:
    if "floor_ms" not in floor:
        return ""
    floors = median_ms / floor["floor_ms"]
    if not judged:
        return f"{floors:.1f}"
    return f"{floors:.1f}, {'must' if floors <= FLOOR_MUST else 'missed'}"
