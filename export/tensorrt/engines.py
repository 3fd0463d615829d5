"""All engines of a bundle: which are there, which must be built, for what device."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from export.tensorrt.builder import BuildOutcome, BuildRequest
from export.tensorrt.child import run_in_child
from export.tensorrt.profiles import input_profiles
from mer_edge.bundle import GRAPHS, Bundle, sha256_of
from mer_edge.cuda_device import Gpu
from mer_edge.engine_cache import (
    ANY,
    ENGINE_SCHEMA_VERSION,
    PLAN,
    BuilderSettings,
    Engine,
    EngineError,
    EngineKey,
    Sidecar,
    bundle_name,
    engine_lock,
    find_engine,
    new_engine,
    write_sidecar,
)
from mer_edge.engine_keys import TURING, Device, engine_key
from mer_edge.errors import MerEdgeError, MissingExtraError
from mer_edge.tensorrt_api import FLAVOURS, is_installed

Progress = Callable[[str, str, int, int], None]
"""Takes a graph's name, a phase's, the steps done and their number."""
VOLTA_UNTIL = (10, 5)
"""TensorRT's support matrices: 10.4 is the last release for compute capability 7.0."""


@dataclass(frozen=True)
class BuildOptions:
    """What the command line chooses."""

    device: str
    cache: Path
    workspace_mb: int | None = None
    compute_capability: str | None = None
    rebuild: bool = False


@dataclass(frozen=True)
class Built:
    """The outcome for one graph."""

    graph: str
    precision: str
    engine: Engine
    seconds: float
    """Of this build; 0 where the engine was there."""
    replaced: str = ""
    """What was wrong with the engine that was there: its message, empty if there was none."""
    warnings: tuple[str, ...] = ()


def build_engines(
    bundle: Bundle, device: Device, options: BuildOptions, progress: Progress
) -> Iterator[Built]:
    """Build what the cache lacks; yields each graph's engine as it is ready.

    Raises:
        MerEdgeError: a graph cannot be built. Engines that were ready before stay; of the one that
            failed nothing is kept.
    """
    for graph in GRAPHS:
        if graph in bundle.manifest.graphs:
            yield _build_one(bundle, graph, device, options, progress)


def describe_device(options: BuildOptions) -> Device:
    """Ask, in a child process, which TensorRT and which GPU this machine has.

    Raises:
        MissingExtraError: the flavour is not installed.
        MerEdgeError: it does not work, or it cannot build for what is asked.
    """
    flavour = options.device
    if flavour not in FLAVOURS:
        raise MerEdgeError(f"--device {flavour}: no such device; choose from {', '.join(FLAVOURS)}")
    if not is_installed(flavour):
        raise MissingExtraError("mer-edge build", FLAVOURS[flavour].package, flavour)
    found = run_in_child("describe", {"flavour": flavour}, f"trying {FLAVOURS[flavour].title}")
    gpu = None if found["gpu"] is None else Gpu(**found["gpu"])
    if flavour == "tensorrt-rtx":
        return _rtx_device(found, gpu, options.compute_capability)
    return _tensorrt_device(found, gpu, options.compute_capability)


def _tensorrt_device(found: dict[str, Any], gpu: Gpu | None, declared: str | None) -> Device:
    version = found["version"]
    if declared is not None:
        raise MerEdgeError(
            f"--compute-capability {declared}: TensorRT builds for the GPU of this machine alone; "
            "leave the option out"
        )
    if gpu is None:
        raise MerEdgeError(
            f"--device tensorrt: TensorRT {version} is here and no NVIDIA GPU; it builds on the "
            "device that will run the engines; run it there, or use --device tensorrt-rtx, which "
            "builds without a GPU"
        )
    least = (7, 0) if _numbers(version) < VOLTA_UNTIL else (7, 5)
    if _numbers(gpu.compute_capability) < least:
        raise MerEdgeError(
            f"{gpu.name} has compute capability {gpu.compute_capability}; TensorRT {version} needs "
            f"{least[0]}.{least[1]} or later, in every precision; use --device cpu or cuda with "
            "ONNX Runtime"
        )
    return Device("tensorrt", version, gpu.name, gpu.compute_capability)


def _rtx_device(found: dict[str, Any], gpu: Gpu | None, declared: str | None) -> Device:
    """RTX engines are compiled in full where they run: by default for every GPU from Ampere on."""
    version, listed = found["version"], found["compute_capabilities"]
    if declared is not None and declared not in listed:
        raise MerEdgeError(
            f"--compute-capability {declared}: TensorRT-RTX {version} builds for "
            f"{', '.join(listed)}; choose one of these, or leave the option out"
        )
    note = ""
    if gpu is not None and gpu.compute_capability not in listed:
        note = (
            f"{gpu.name} has compute capability {gpu.compute_capability}, TensorRT-RTX {version} "
            f"lists {', '.join(listed)}: the engines may not run on it"
        )
    if declared is None and gpu is not None and gpu.compute_capability == TURING:
        declared = TURING  # not among what it builds for by default
    return Device("tensorrt-rtx", version, ANY, declared or ANY, note)


def _numbers(version: str) -> tuple[int, int]:
    major, minor = re.findall(r"\d+", version)[:2]
    return int(major), int(minor)


def _build_one(
    bundle: Bundle, graph: str, device: Device, options: BuildOptions, progress: Progress
) -> Built:
    key = engine_key(bundle, graph, device)
    settings = BuilderSettings(options.workspace_mb)
    precision = bundle.manifest.graphs[graph].precision

    def waiting() -> None:
        progress(graph, "another process is building it", 0, 1)

    with engine_lock(options.cache, key, settings, waiting) as waited:
        engine, replaced = _existing(bundle, key, settings, options.cache)
        # Whoever held the lock has just built what --rebuild asks for.
        if engine is not None and (waited or not options.rebuild):
            progress(graph, "in the cache", 1, 1)
            return Built(graph, precision, engine, 0.0)
        request = _request(bundle, key, options)
        with new_engine(options.cache, key, settings) as directory:
            outcome = _build_into(directory, request, key, settings, bundle, progress)
        engine = find_engine(
            options.cache, key, settings, bundle=bundle.path, advice="build it again"
        )
    return Built(graph, precision, engine, outcome.seconds, replaced, tuple(outcome.warnings))


def _existing(
    bundle: Bundle, key: EngineKey, settings: BuilderSettings, cache: Path
) -> tuple[Engine | None, str]:
    """The engine that is there and whole; else why there is none, if there is more to say."""
    try:
        engine = find_engine(cache, key, settings, bundle=bundle.path, advice="it is built anew")
        engine.check()
    except EngineError as error:
        return None, "" if error.state == "missing" else str(error)
    return engine, ""


def _request(bundle: Bundle, key: EngineKey, options: BuildOptions) -> BuildRequest:
    gpu = re.sub(r"\W+", "-", key.gpu)
    timing = f"timing-{key.flavour}-{key.version}-{gpu}-{key.compute_capability}.cache"
    return BuildRequest(
        flavour=key.flavour,
        graph=key.graph,
        onnx=str(bundle.graph_path(key.graph)),
        plan="",
        profiles=input_profiles(bundle.manifest.graphs[key.graph], key.profile),
        compute_capability=key.compute_capability if key.gpu == ANY else ANY,
        workspace_mb=options.workspace_mb,
        timing_cache=str(options.cache / timing),
    )


def _build_into(
    directory: Path,
    request: BuildRequest,
    key: EngineKey,
    settings: BuilderSettings,
    bundle: Bundle,
    progress: Progress,
) -> BuildOutcome:
    plan = directory / PLAN
    answer = run_in_child(
        "build",
        asdict(request) | {"plan": str(plan)},
        f"building the graph {key.graph}",
        lambda phase, done, steps: progress(key.graph, phase, done, steps),
    )
    outcome = BuildOutcome(**answer)
    write_sidecar(
        directory,
        Sidecar(
            schema_version=ENGINE_SCHEMA_VERSION,
            key=key,
            settings=settings,
            sha256=sha256_of(plan),
            bytes=plan.stat().st_size,
            build_seconds=round(outcome.seconds, 3),
            built=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            bundle=bundle_name(bundle.path),
        ),
    )
    return outcome
