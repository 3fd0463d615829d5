"""Batch 1 in turns: each backend of the GPU that is installed against PyTorch in half precision.

Every subject is a process of its own; only one works at a time, the order changing, and a turn is
several runs. What cannot be had is a row with what it answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mer_edge.bundle import Bundle
from mer_edge.clip_file import save_clip
from mer_edge.errors import MerEdgeError
from mer_edge.tensorrt_api import FLAVOURS, is_installed
from runtime.bench.partner import Partner
from runtime.bench.rounds import run_rounds
from runtime.bench.stability import Watch
from runtime.bench.summary import Latency, Ratio
from runtime.bench.workload import synthetic_clip

OWN, TORCH = "benchmarks.gpu.own", "benchmarks.gpu.torch_half"
EAGER, COMPILED = "pytorch eager", "torch.compile with CUDA graphs"
RUNS_A_TURN = 20
WARM_UPS = 3


@dataclass(frozen=True)
class Measure:
    """How it is measured."""

    segments: int = 5
    tokens: int = 32
    rounds: int = 50
    device: str = "cuda"
    """Of the peers."""


def subjects(cache: Path, device: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """A name, the module that serves it and what it is told."""
    flavours = [flavour for flavour in FLAVOURS if is_installed(flavour)]
    for own in ("cuda", *flavours):
        for graphs in (True, False):
            name = f"{own}{'' if graphs else ' without CUDA graphs'}"
            place = None if own == "cuda" else str(cache)
            yield name, OWN, {"device": own, "cache": place, "cuda_graphs": graphs}
    for name, compiled in ((EAGER, False), (COMPILED, True)):
        yield name, TORCH, {"compiled": compiled, "device": device}


def measure(
    bundle: Path,
    cache: Path,
    folder: Path,
    how: Measure,
    step: Callable[[str, int, int], None],
) -> list[dict[str, Any]]:
    """A row for each subject: its latency and how many times as long the peers take.

    Args:
        cache: of the engines that were built.
        folder: for the clip.
    """
    clip = folder / "clip.npz"
    save_clip(synthetic_clip(Bundle.load(bundle), how.segments, how.tokens), clip)
    common = {"bundle": str(bundle.absolute()), "clip": str(clip), "runs": RUNS_A_TURN}
    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        partners: dict[str, Partner] = {}
        chosen = list(subjects(cache, how.device))
        for name, module, told in chosen:
            step("starting", len(rows), len(chosen))
            rows.append({"name": name})
            try:
                partners[name] = stack.enter_context(Partner(module, common | told, name))
                rows[-1] |= {"engine": partners[name].engine, "versions": partners[name].versions}
            except MerEdgeError as error:
                rows[-1]["refused"] = str(error)
        times = _in_turns(partners, how.rounds, step)
    for row in rows:
        if row["name"] in times:
            row |= _figures(row["name"], times)
    return rows


def _in_turns(
    partners: dict[str, Partner], rounds: int, step: Callable[[str, int, int], None]
) -> dict[str, list[float]]:
    if not partners:
        return {}
    runs = {name: partner.run for name, partner in partners.items()}
    found = run_rounds(runs, rounds, WARM_UPS, Watch(), step).times_ms
    return {name: [time / RUNS_A_TURN for time in times] for name, times in found.items() if times}


def _figures(name: str, times: dict[str, list[float]]) -> dict[str, Any]:
    return {
        "latency": asdict(Latency.of(times[name])),
        "against": {
            peer: asdict(Ratio.of(times[name], times[peer]))
            for peer in (EAGER, COMPILED)
            if peer in times and peer != name
        },
    }
