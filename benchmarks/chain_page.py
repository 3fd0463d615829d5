"""The page of benchmarks/chain_against_peers.py, and the names of who takes part."""

from __future__ import annotations

from typing import Any

FP32, INT8 = "fp32 chain", "INT8 chain"
ENGINES = {
    "pytorch": "PyTorch eager fp32",
    "onnxruntime": "one graph fp32, ONNX Runtime",
    "onnxruntime-merged": "the fp32 chain's graphs joined, ONNX Runtime",
    "int8-merged": "the INT8 chain's graphs joined, ONNX Runtime",
    "openvino": "one graph bf16, OpenVINO",
    "openvino-fp32": "one graph fp32, OpenVINO",
}
ALSO = (
    ("fp32 chain against its own graphs joined into one", FP32, "onnxruntime-merged"),
    ("INT8 chain against its own graphs joined into one", INT8, "int8-merged"),
    ("fp32 chain against OpenVINO fp32, one graph", FP32, "openvino-fp32"),
    ("INT8 chain against the fp32 chain", INT8, FP32),
)


def as_markdown(outcome: dict[str, Any]) -> str:
    """The result as a page."""
    machine, clip = outcome["machine"], outcome["clip"]
    stability = outcome["stability"]
    verdict = "quiet" if not stability["noisy"] else "noisy: " + "; ".join(stability["reasons"])
    versions = outcome["versions"] | machine["versions"]
    parts = [
        "# The chain against what one would run instead",
        f"`python benchmarks/chain_against_peers.py`, {outcome['measured']}, commit "
        f"`{outcome['commit'][:12]}`. {machine['processor']} "
        f"({', '.join(machine['instruction_sets'])}), {machine['cores']} cores, "
        f"{clip['threads']} threads each; preset `{outcome['bundles'][FP32]['preset']}`, "
        f"{clip['segments']} segments, {clip['tokens']} tokens. Every subject is a process of its "
        "own, they take turns, from the clip's arrays to the decision; a ratio above 1 means that "
        "ours is faster. Random weights: what a run costs does not depend on them. The machine "
        f"was {verdict}.",
        table(
            ("what", "ratio of medians", "95 % interval", "rounds' quartiles", "must", "aim", ""),
            [_claim(row) for row in outcome["claims"]],
        ),
        "Beside them:",
        table(
            ("what", "ratio of medians", "95 % interval", "rounds' quartiles"),
            [[what, *_ratio(outcome["ratios"][what])] for what, _, _ in ALSO]
            + [["first fp32 result of a cold process against the import",
                *_ratio(outcome["cold_ratios"][FP32])]],
        ),
        "## Latency, ms",
        table(
            ("subject", "engine", "p50", "p90", "p99", "min", "max", "runs"),
            [[ENGINES.get(name, name), outcome["engines"][name], *_latency(latency)]
             for name, latency in outcome["latency_ms"].items()],
        ),
        "## Cold starts, ms\n\nFrom the start of a new process to the first decision (or the end "
        "of the import); files in the system's cache. Parts are medians.",
        table(
            ("process", "p50", "p90", "p99", "min", "max", "runs", "parts"),
            [[name, *_latency(latency), _phases(outcome["cold_phases_ms"].get(name, {}))]
             for name, latency in outcome["cold_ms"].items()],
        ),
        f"## Peak memory\n\nOf a new process after one decision on {outcome['memory_of']}: "
        "everything resident, interpreter and libraries included.",
        table(
            ("process", "MB"),
            [[ENGINES.get(name, name), f"{value / 1e6:.0f}"]
             for name, value in outcome["memory_bytes"].items()],
        ),
        "Versions: " + ", ".join(f"{name} {value}" for name, value in versions.items()) + ".",
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _claim(row: dict[str, Any]) -> list[str]:
    limits = [f"{row['must']:g} x", f"{row['aim']:g} x", row["reached"]]
    if "quartiles" in row:
        return [row["what"], *_ratio(row), *limits]
    return [row["what"], f"**{row['value']:.2f} x**", "", "", *limits]


def _ratio(ratio: dict[str, Any]) -> list[str]:
    first, second, third = ratio["quartiles"]
    value = ratio.get("of_medians", ratio.get("value"))
    return [
        f"**{value:.2f} x**",
        f"{ratio['low']:.2f} to {ratio['high']:.2f}",
        f"{first:.2f}, {second:.2f}, {third:.2f}",
    ]


def _latency(latency: dict[str, Any]) -> list[str]:
    keys = ("p50_ms", "p90_ms", "p99_ms", "min_ms", "max_ms")
    return [*(f"{latency[key]:.1f}" for key in keys), str(latency["runs"])]


def _phases(phases: dict[str, float]) -> str:
    return ", ".join(f"{name} {spent:.0f}" for name, spent in phases.items())


def table(head: Any, rows: Any) -> str:
    lines = [list(head), ["---"] * len(list(head)), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
