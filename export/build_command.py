"""``mer-edge build BUNDLE``: the bundle's graphs become engines in this device's cache."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from mer_edge.errors import MerEdgeError

if TYPE_CHECKING:
    from export.tensorrt.engines import BuildOptions, Built
    from mer_edge.engine_keys import Device

SCHEMA_VERSION = 1


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of ``mer-edge build``."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="made by mer-edge export")
    parser.add_argument(
        "--device",
        default="tensorrt",
        help="tensorrt, for this machine's GPU (default), or tensorrt-rtx, which needs none",
    )
    parser.add_argument(
        "--compute-capability",
        metavar="X.Y",
        help="with tensorrt-rtx: for these GPUs alone (default: all from Ampere on)",
    )
    parser.add_argument(
        "--workspace-mb", type=int, metavar="N", help="most scratch memory a layer may use"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="where engines are kept (default: $MER_EDGE_CACHE or ~/.cache/mer-edge/engines)",
    )
    parser.add_argument("--rebuild", action="store_true", help="also what is there and whole")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.add_argument("--json", action="store_true", help="print the outcome as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Build; raises MerEdgeError for what the user can mend."""
    if args.workspace_mb is not None and args.workspace_mb < 1:
        raise MerEdgeError(f"--workspace-mb {args.workspace_mb}: expected at least 1")
    from export.tensorrt.engines import BuildOptions, build_engines, describe_device
    from mer_edge.bundle import Bundle
    from mer_edge.cli.progress import Bars
    from mer_edge.engine_cache import cache_directory

    bundle = Bundle.load(args.bundle)
    options = BuildOptions(
        device=args.device,
        cache=cache_directory(args.cache),
        workspace_mb=args.workspace_mb,
        compute_capability=args.compute_capability,
        rebuild=args.rebuild,
    )
    device = describe_device(options)
    built = []
    with Bars(quiet=args.quiet or args.json) as bars:
        if device.note:
            bars.note(f"note: {device.note}")
        for one in build_engines(
            bundle,
            device,
            options,
            lambda graph, phase, done, steps: bars.step(graph, done, steps, phase),
        ):
            if one.replaced:
                bars.note(f"rebuilt: {one.replaced}")
            built.append(one)
    if args.json:
        print(json.dumps(_outcome(args.bundle, device, options, built)))
    elif not args.quiet:
        print(_told(args.bundle, device, options, built))
    return 0


def _outcome(
    bundle: Path, device: Device, options: BuildOptions, built: list[Built]
) -> dict[str, object]:
    return {
        "schema_version": SCHEMA_VERSION,
        "bundle": str(bundle),
        "cache": str(options.cache),
        "device": asdict(device),
        "engines": {
            one.graph: {
                "precision": one.precision,
                "engine": str(one.engine.plan),
                "sha256": one.engine.sidecar.sha256,
                "bytes": one.engine.sidecar.bytes,
                "built_now": one.seconds > 0,
                "build_seconds": one.engine.sidecar.build_seconds,
                "replaced": one.replaced,
                "warnings": list(one.warnings),
            }
            for one in built
        },
    }


def _told(bundle: Path, device: Device, options: BuildOptions, built: list[Built]) -> str:
    from mer_edge.tensorrt_api import FLAVOURS

    lines = [f"{FLAVOURS[device.flavour].title} {device.version}, for {_whom(device)}:"]
    for one in built:
        how = f"built in {one.seconds:.1f} s" if one.seconds else "in the cache already"
        size = one.engine.sidecar.bytes / 1e6
        lines.append(f"  {one.graph:<11} {one.precision:<5} {size:8.1f} MB  {how}")
    lines.append(f"engines are kept in {options.cache}")
    lines.append(f"next: mer-edge infer {bundle} CLIP.mp4 --device {device.flavour}")
    return "\n".join(lines)


def _whom(device: Device) -> str:
    from mer_edge.engine_cache import ANY

    if device.gpu != ANY:
        return f"{device.gpu} (compute capability {device.compute_capability})"
    if device.compute_capability != ANY:
        return f"GPUs of compute capability {device.compute_capability}"
    return "RTX GPUs from Ampere on"
