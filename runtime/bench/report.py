"""What ``mer-edge bench`` found. ``--json`` prints exactly these fields."""

from __future__ import annotations

from dataclasses import dataclass, field

from mer_edge.bundle import MANIFEST, Bundle, sha256_of
from mer_edge.process_memory import PeakMemory
from runtime.bench.energy import Energy
from runtime.bench.machine import Machine
from runtime.bench.stability import Stability
from runtime.bench.summary import Latency, Ratio
from runtime.bench.workload import Workload

BENCH_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class BundleFacts:
    """Which bundle."""

    path: str
    sha256: str
    """Of manifest.json, which holds the hashes of all other files."""
    bytes: int
    variant: str
    preset: str
    precision: str
    graphs: dict[str, str]
    """Precision per graph."""
    target: str


@dataclass(frozen=True)
class Settings:
    """What was asked for."""

    device: str
    threads: int | None
    """Per graph; None: the engine's choice."""
    rounds: int
    warm_ups: int
    batch: int
    cold_runs: int
    against: str | None = None


@dataclass(frozen=True)
class ColdStart:
    """New processes, from being started to their first decision; files in the system's cache."""

    first_decision_ms: Latency
    phases_ms: dict[str, float]
    """Medians: ``start`` of the interpreter, ``import``, ``bundle`` (read, hashed, checked),
    ``sessions`` (graphs loaded and optimised), ``input`` and ``first run``."""


@dataclass(frozen=True)
class Throughput:
    """Clips run together."""

    batch: int
    clips_per_s: float
    """At the median."""
    batch_ms: Latency


@dataclass(frozen=True)
class Peer:
    """Another way to run the same network, in turns with ours on the same clip."""

    name: str
    engine: str
    latency_ms: Latency
    own_latency_ms: Latency
    """Ours in the same rounds, from the clip to the result."""
    ratio: Ratio
    memory: PeakMemory | None = None
    """Of its process at the end."""
    memory_ratio: float | None = None
    """Our peak of a fresh process through its."""
    largest_logit_difference: float | None = None
    """None where its weights are others."""
    notes: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BenchReport:
    """One measurement of one bundle on one machine."""

    bundle: BundleFacts
    workload: Workload
    settings: Settings
    machine: Machine
    engine: str
    """What really ran, as the sessions say; empty where nothing ran."""
    measured: str
    """When it began, UTC, ISO 8601."""
    commit: str
    """Of the checkout; empty for an installed package."""
    end_to_end_ms: Latency | None = None
    """From the clip to the result, of a file from the file; None: interrupted before it."""
    stages_ms: dict[str, Latency] = field(default_factory=dict)
    """They overlap where stages run beside each other."""
    real_time_factor: float | None = None
    """Median end-to-end time through the clip's length: below 1 is faster than real time."""
    cold_start: ColdStart | None = None
    throughput: Throughput | None = None
    memory: PeakMemory | None = None
    """Resident peak of a fresh process that loaded the bundle and made one decision."""
    energy: Energy | None = None
    """None: this machine does not report it."""
    stability: Stability | None = None
    peer: Peer | None = None
    interrupted: bool = False
    notes: list[str] = field(default_factory=list)
    schema_version: int = BENCH_SCHEMA_VERSION


def bundle_facts(bundle: Bundle) -> BundleFacts:
    """Which bundle, so that two reports can be told apart."""
    manifest = bundle.manifest
    return BundleFacts(
        path=str(bundle.path),
        sha256=sha256_of(bundle.path / MANIFEST),
        bytes=sum(file.stat().st_size for file in bundle.path.iterdir() if file.is_file()),
        variant=manifest.variant,
        preset=manifest.preset,
        precision=manifest.precision,
        graphs={name: spec.precision for name, spec in manifest.graphs.items()},
        target=manifest.target,
    )
