"""``mer-edge export RUN --out BUNDLE``."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

from mer_edge.errors import MissingExtraError

if TYPE_CHECKING:
    from mer_edge.bundle import Bundle

EXTRAS = {
    "torch": "export",
    "torchvision": "export",
    "transformers": "export",
    "onnx": "export",
    "onnx_ir": "export",
    "onnxscript": "export",
    "onnxruntime": "cpu",
}
"""Which extra brings a package that is missing."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("run", type=Path, metavar="RUN", help="directory made by mer-edge train")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="BUNDLE", help="directory to write"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the bundle at --out")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.add_argument("--json", action="store_true", help="print the outcome as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Export; raises MerEdgeError for what the user can mend."""
    from mer_edge.cli.progress import Bars

    try:
        from export.exporter import export_bundle
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in EXTRAS:
            raise
        raise MissingExtraError("mer-edge export", package, EXTRAS[package]) from error
    started = time.perf_counter()
    with Bars(quiet=args.quiet or args.json) as bars:
        bundle = export_bundle(
            args.run,
            args.out,
            overwrite=args.overwrite,
            progress=lambda step, done, total: bars.step("export", done, total, step),
        )
    outcome = _outcome(bundle, time.perf_counter() - started)
    if args.json:
        print(json.dumps(outcome))
    elif not args.quiet:
        _print(outcome)
    return 0


def _outcome(bundle: Bundle, seconds: float) -> dict[str, object]:
    manifest = bundle.manifest
    size = sum(path.stat().st_size for path in bundle.path.iterdir())
    return {
        "bundle": str(bundle.path),
        "variant": manifest.variant,
        "bytes": size,
        "graphs": {name: spec.sha256 for name, spec in manifest.graphs.items()},
        "max_abs_logit_difference": manifest.parity.max_abs_logit_difference,
        "tolerance": manifest.parity.tolerance,
        "cases": manifest.parity.cases,
        "seconds": round(seconds, 1),
    }


def _print(outcome: dict[str, object]) -> None:
    graphs = len(cast("dict[str, str]", outcome["graphs"]))
    print(
        f"{outcome['bundle']}: {outcome['variant']}, {graphs} graphs, "
        f"{int(str(outcome['bytes'])) / 1e6:.1f} MB, in {outcome['seconds']} s"
    )
    print(
        f"largest logit difference to PyTorch {outcome['max_abs_logit_difference']:.2g} "
        f"over {outcome['cases']} cases ({outcome['tolerance']:g} allowed)"
    )
    print(f"next: mer-edge infer {outcome['bundle']} CLIP.mp4")
