"""One graph to one serialised engine, in the process that calls it. See ``child`` for the safe way.

The network is strongly typed: every tensor keeps the type that the ONNX file gives it, so the
file's precision is the engine's, on TensorRT 10, 11 and RTX alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.tensorrt import timing
from export.tensorrt.profiles import InputProfile
from mer_edge.engine_cache import ANY
from mer_edge.errors import MerEdgeError
from mer_edge.tensorrt_api import Messages, TensorRT, load_tensorrt

if TYPE_CHECKING:
    import tensorrt as trt

MB = 1 << 20
Progress = Callable[[str, int, int], None]
"""Takes a phase's name, the steps done and their number."""


@dataclass(frozen=True)
class BuildRequest:
    """What to build and where to put it."""

    flavour: str
    graph: str
    """Its name in the bundle, for messages."""
    onnx: str
    plan: str
    """The file to write."""
    profiles: list[InputProfile]
    compute_capability: str = ANY
    """What an RTX engine is for; ``any`` leaves it to the builder."""
    workspace_mb: int | None = None
    timing_cache: str | None = None


@dataclass(frozen=True)
class BuildOutcome:
    """What was built."""

    seconds: float
    """Parsing and building."""
    layers: int
    """Of the network before the builder fused any."""
    warnings: list[str]


def build(request: BuildRequest, progress: Progress) -> BuildOutcome:
    """Parse, build and write the engine.

    Raises:
        MerEdgeError: TensorRT cannot be had, does not take the graph (with the nodes it names), or
            cannot build it; or the disk is full.
    """
    api = load_tensorrt(request.flavour)
    messages = Messages()
    started = time.perf_counter()
    logger = api.logger(messages)
    builder = _builder(api, logger, messages)
    network = builder.create_network(api.strongly_typed_flags())
    parser = api.module.OnnxParser(network, logger)
    _parse(api, parser, request)
    config = _configure(api, builder, network, request)
    # Kept by name until the build is over: TensorRT does not own its monitor.
    monitor = api.progress_monitor(progress)
    if monitor is not None:
        config.progress_monitor = monitor
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise MerEdgeError(
            f"{request.onnx}: {api.title} cannot build an engine of the graph {request.graph}: "
            f"{messages.reason()}"
        )
    seconds = time.perf_counter() - started
    with Path(request.plan).open("wb") as file:
        file.write(plan)
    if request.timing_cache is not None:
        timing.save(api, config, Path(request.timing_cache))
    return BuildOutcome(seconds, network.num_layers, list(messages.warnings))


def _builder(api: TensorRT, logger: trt.ILogger, messages: Messages) -> trt.Builder:
    try:
        return api.module.Builder(logger)
    except (TypeError, RuntimeError) as error:  # pybind11's answer to a null pointer
        raise MerEdgeError(
            f"{api.title} makes no builder here: {messages.reason()} ({error}); "
            "run: mer-edge doctor"
        ) from error


def _parse(api: TensorRT, parser: trt.OnnxParser, request: BuildRequest) -> None:
    if parser.parse_from_file(request.onnx):
        return
    errors = [_told(parser.get_error(i)) for i in range(parser.num_errors)]
    raise MerEdgeError(
        f"{request.onnx}: {api.title} does not take the graph {request.graph}: "
        f"{'; '.join(errors) or 'it names no node'}"
    )


def _told(error: trt.ParserError) -> str:
    """One of the parser's errors with the node it is about, where it is about one."""
    name, operator = error.node_name(), error.node_operator()
    node = f"node {name or '(no name)'} ({operator}): " if name or operator else ""
    return node + error.desc().strip()


def _configure(
    api: TensorRT, builder: trt.Builder, network: trt.INetworkDefinition, request: BuildRequest
) -> trt.IBuilderConfig:
    config = builder.create_builder_config()
    if request.workspace_mb is not None:
        config.set_memory_pool_limit(api.module.MemoryPoolType.WORKSPACE, request.workspace_mb * MB)
    if request.compute_capability != ANY:
        _target(api, config, request.compute_capability)
    profile = builder.create_optimization_profile()
    has = {network.get_input(i).name for i in range(network.num_inputs)}
    wants = {item.name for item in request.profiles}
    if has != wants:
        raise MerEdgeError(
            f"{request.onnx}: the graph's inputs are {', '.join(sorted(has))}; the manifest says "
            f"{', '.join(sorted(wants))}; export the bundle again"
        )
    for item in request.profiles:
        sizes = (item.minimum, item.optimum, item.maximum)
        profile.set_shape(item.name, *(api.module.Dims(list(size)) for size in sizes))
    if config.add_optimization_profile(profile) < 0:
        raise MerEdgeError(f"{request.onnx}: {api.title} refuses the shapes {request.profiles}")
    if request.timing_cache is not None:
        timing.attach(api, config, Path(request.timing_cache))
    return config


def _target(api: TensorRT, config: trt.IBuilderConfig, capability: str) -> None:
    """Build for one compute capability in place of all that the flavour takes by default."""
    listed = api.compute_capabilities()
    if capability not in listed:
        known = ", ".join(listed) or "none but the GPU's own"
        raise MerEdgeError(
            f"--compute-capability {capability}: {api.title} builds for {known}; choose one of "
            "these, or leave the option out"
        )
    rtx: Any = config  # the stubs are TensorRT's, whose configuration has no such thing
    rtx.num_compute_capabilities = 1
    rtx.set_compute_capability(listed[capability], 0)
