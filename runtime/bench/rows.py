"""The figures of a report as tables of text, for the terminal and for Markdown alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mer_edge.process_memory import PeakMemory
from runtime.bench.energy import NOT_REPORTED
from runtime.bench.report import BenchReport, Peer
from runtime.bench.summary import Latency

WIDE = 1.5
"""A ratio whose interval ends at more than that many times where it begins says little."""
LATENCY_HEAD = ("p50", "p90", "p99", "mean", "min", "max", "runs")


@dataclass(frozen=True)
class Section:
    """One table; the first column names the rows."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def sections(report: BenchReport) -> list[Section]:
    """Those that were measured."""
    found = [_latency(report), _cold(report), _figures(report), _peer(report), _facts(report)]
    return [section for section in found if section is not None and section.rows]


def _latency(report: BenchReport) -> Section:
    rows = [(name, *_times(latency)) for name, latency in report.stages_ms.items()]
    if report.end_to_end_ms is not None:
        rows.append(("end to end", *_times(report.end_to_end_ms)))
    return Section("latency, ms", ("stage", *LATENCY_HEAD), rows)


def _times(latency: Latency) -> tuple[str, ...]:
    values = (
        latency.p50_ms,
        latency.p90_ms,
        latency.p99_ms,
        latency.mean_ms,
        latency.min_ms,
        latency.max_ms,
    )
    return (*(f"{value:.2f}" for value in values), str(latency.runs))


def _cold(report: BenchReport) -> Section | None:
    cold = report.cold_start
    if cold is None:
        return None
    rows = [(name, f"{spent:.0f}") for name, spent in cold.phases_ms.items()]
    first = cold.first_decision_ms
    rows.append(
        (
            "first decision",
            f"{first.p50_ms:.0f} (of {first.runs}: {first.min_ms:.0f} to {first.max_ms:.0f})",
        )
    )
    return Section("cold start of a new process, ms", ("part", "median"), rows)


def _figures(report: BenchReport) -> Section:
    rows: list[tuple[str, ...]] = []
    if report.real_time_factor is not None:
        rows.append(("real-time factor", f"{report.real_time_factor:.4f}"))
    if report.throughput is not None:
        rate = report.throughput
        text = f"{rate.clips_per_s:.2f} clips/s ({rate.batch_ms.runs} batches)"
        rows.append((f"throughput, {rate.batch} clips at once", text))
    if report.memory is not None:
        rows.append(("peak memory of a new process", memory_text(report.memory)))
    if report.end_to_end_ms is not None:
        energy = report.energy
        text = NOT_REPORTED
        if energy is not None:
            text = (
                f"{energy.joules_per_run:.3f} J a run, {energy.mean_watts:.2f} W ({energy.source})"
            )
        rows.append(("energy", text))
    return Section("figures", ("what", "value"), rows)


def memory_text(memory: PeakMemory) -> str:
    """What was resident, and of what kind as far as the system says."""
    text = f"{memory.peak_bytes / 1e6:.0f} MB resident"
    if memory.anonymous_bytes is not None and memory.file_bytes is not None:
        text += (
            f" (at the end {memory.anonymous_bytes / 1e6:.0f} MB its own, "
            f"{memory.file_bytes / 1e6:.0f} MB of mapped files)"
        )
    return text


def _peer(report: BenchReport) -> Section | None:
    peer = report.peer
    if peer is None:
        return None
    rows: list[tuple[str, ...]] = [
        ("engine", peer.engine),
        ("its median, ms", f"{peer.latency_ms.p50_ms:.2f} (p99 {peer.latency_ms.p99_ms:.2f})"),
        ("ours, ms", f"{peer.own_latency_ms.p50_ms:.2f} (p99 {peer.own_latency_ms.p99_ms:.2f})"),
        ("ours is faster by", ratio_text(peer)),
        ("each round's ratio", quartiles_text(peer)),
    ]
    if peer.memory is not None:
        rows.append(("its memory", memory_text(peer.memory)))
    if peer.memory_ratio is not None:
        rows.append(("ours through its", f"{peer.memory_ratio:.2f} x"))
    if peer.largest_logit_difference is not None:
        rows.append(("largest difference of a logit", f"{peer.largest_logit_difference:.1e}"))
    rows += [("note", note) for note in peer.notes]
    return Section(f"in turns with {peer.name}", ("what", "value"), rows)


def ratio_text(peer: Peer) -> str:
    ratio = peer.ratio
    return f"{ratio.of_medians:.2f} x (95 % of the resamples: {ratio.low:.2f} to {ratio.high:.2f})"


def quartiles_text(peer: Peer) -> str:
    first, second, third = peer.ratio.quartiles
    return f"{second:.2f} (quartiles {first:.2f} and {third:.2f}, {peer.ratio.rounds} rounds)"


def _facts(report: BenchReport) -> Section:
    machine, settings = report.machine, report.settings
    threads = "the engine's choice" if settings.threads is None else str(settings.threads)
    clock = f"{machine.clock_mhz:.0f} MHz" if machine.clock_mhz else "not told"
    rows = [
        ("engine", report.engine or "nothing ran"),
        ("threads", threads),
        ("processor", f"{machine.processor}, {machine.cores} cores, {machine.system}"),
        ("instruction sets", ", ".join(machine.instruction_sets) or "not told"),
        ("clock, governor", f"{clock}, {machine.governor or 'not told'}"),
        ("load average", ", ".join(map(str, machine.load_average or ())) or "not told"),
        ("versions", ", ".join(f"{name} {version}" for name, version in machine.versions.items())),
        ("bundle", f"{report.bundle.sha256[:16]}, {report.bundle.bytes / 1e6:.1f} MB"),
        ("commit", report.commit or "an installed package"),
    ]
    for name, value in (
        ("board", machine.board),
        ("power mode", machine.power_mode),
        ("GPU", machine.gpu),
    ):
        if value is not None:
            rows.insert(3, (name, value))
    return Section("where", ("what", "value"), rows)


def headline(report: BenchReport) -> str:
    """What was run, in a line."""
    bundle, work = report.bundle, report.workload
    what = "a synthetic clip" if work.source == "synthetic" else work.source
    several = f", {work.clips} utterances" if work.clips > 1 else ""
    return (
        f"{bundle.path}: {bundle.variant}, {bundle.preset}, {bundle.precision} on {what}: "
        f"{work.segments} segments, {work.tokens} tokens, {work.audio_s:.2f} s{several}"
    )


def warnings(report: BenchReport) -> list[str]:
    """What a reader must know before believing the figures."""
    found = []
    if report.interrupted:
        found.append("interrupted: these are the runs until then")
    if report.stability is not None and report.stability.noisy:
        found.append("the machine was noisy: " + "; ".join(report.stability.reasons))
    runs = report.end_to_end_ms.runs if report.end_to_end_ms is not None else 0
    if 0 < runs < 100:
        found.append(f"p99 of {runs} runs is the slowest of them; --rounds 100 tells more")
    if report.peer is not None and report.peer.ratio.high > WIDE * report.peer.ratio.low:
        ratio = report.peer.ratio
        found.append(
            f"these runs leave the ratio anywhere between {ratio.low:.2f} and {ratio.high:.2f}; "
            "more --rounds on a calmer machine tell more"
        )
    return [*found, *report.notes]
