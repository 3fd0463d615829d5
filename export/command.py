"""``mer-edge export RUN --out BUNDLE``."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mer_edge.errors import MerEdgeError, MissingExtraError

if TYPE_CHECKING:
    from export.gate import GateReport
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
    parser.add_argument(
        "--target",
        default="cpu",
        metavar="TARGET",
        help="cpu (default), cuda, tensorrt, jetson-orin or jetson-thor",
    )
    parser.add_argument(
        "--precision", default="fp32", metavar="P", help="fp32 (default), fp16, int8 or auto"
    )
    parser.add_argument(
        "--calibrate",
        type=Path,
        metavar="DATA",
        help="a data set's manifest or folder: real clips for the ranges of int8, and others of "
        "it to compare the graphs with PyTorch on",
    )
    parser.add_argument(
        "--calibration-clips",
        type=int,
        default=128,
        metavar="N",
        help="how many of them, of the training split (default: 128; at least 64 are advised)",
    )
    parser.add_argument(
        "--vocabulary",
        type=Path,
        metavar="FILE",
        help="cut the text encoder's vocabulary to the tokens of this text file (BERT's English "
        "one loses a third; words it does not hold are spelled with shorter tokens)",
    )
    parser.add_argument(
        "--budget",
        default="0.5%",
        metavar="SHARE",
        help="of auto: label decisions that may change (default: 0.5%%)",
    )
    parser.add_argument(
        "--pareto", type=Path, metavar="FILE", help="of auto: draw what was chosen from (.png)"
    )
    parser.add_argument("--seed", type=int, default=0, help="which clips are drawn (default: 0)")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw what was compared as a heat map (.png)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the bundle at --out")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.add_argument("--json", action="store_true", help="print the outcome as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Export; raises MerEdgeError for what the user can mend."""
    from mer_edge.cli.progress import Bars
    from mer_edge.files import check_new_file
    from mer_edge.pictures import check_picture

    try:
        from export.auto.plan import parse_budget
        from export.exporter import export_bundle
        from export.options import ExportOptions
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in EXTRAS:
            raise
        raise MissingExtraError("mer-edge export", package, EXTRAS[package]) from error
    options = ExportOptions(
        target=args.target,
        precision=args.precision,
        calibrate=args.calibrate,
        calibration_clips=args.calibration_clips,
        seed=args.seed,
        budget=parse_budget(args.budget),
        vocabulary=args.vocabulary,
    )
    if args.pareto is not None and args.precision != "auto":
        raise MerEdgeError("found --pareto without --precision auto, which alone has a choice")
    for option, picture in (("--plot", args.plot), ("--pareto", args.pareto)):
        if picture is not None:
            check_picture(picture)
            check_new_file(picture, option)
    started = time.perf_counter()
    measured: list[GateReport] = []
    try:
        with Bars(quiet=args.quiet or args.json) as bars:
            bundle = export_bundle(
                args.run,
                args.out,
                options,
                overwrite=args.overwrite,
                progress=lambda step, done, total: bars.step("export", done, total, step),
                report=measured.append,
            )
    finally:
        for report in measured:  # also of a bundle that the gate refuses
            _show(report, args)
    choice = bundle.manifest.choice
    if args.pareto is not None and choice is not None:
        from export.auto.picture import draw_plans

        draw_plans(choice, args.pareto, f"{args.run}: {len(choice.plans)} mixes of precisions")
    outcome = _outcome(bundle, time.perf_counter() - started)
    if args.json:
        print(json.dumps(outcome))
    elif not args.quiet:
        _print(outcome)
    return 0


def _show(report: GateReport, args: argparse.Namespace) -> None:
    if args.plot is not None:
        from mer_edge.parity.picture import draw_parity

        draw_parity(report.parity, args.plot, f"{args.run} as {args.precision} for {args.target}")
    if not (args.quiet or args.json):
        from mer_edge.parity.table import print_parity

        print_parity(report.to_manifest())


def _outcome(bundle: Bundle, seconds: float) -> dict[str, object]:
    manifest = bundle.manifest
    size = sum(path.stat().st_size for path in bundle.path.iterdir())
    return {
        "bundle": str(bundle.path),
        "variant": manifest.variant,
        "task": manifest.task,
        "target": manifest.target,
        "precision": manifest.precision,
        "bytes": size,
        "graphs": {
            name: {
                "sha256": graph.sha256,
                "precision": graph.precision,
                "rewrites": graph.rewrites,
                "kept_higher": graph.kept_higher,
            }
            for name, graph in manifest.graphs.items()
        },
        "calibration": None if manifest.calibration is None else asdict(manifest.calibration),
        "choice": None if manifest.choice is None else asdict(manifest.choice),
        "parity": asdict(manifest.parity),
        "seconds": round(seconds, 1),
    }


def _print(outcome: dict[str, Any]) -> None:
    higher = sum(len(graph["kept_higher"]) for graph in outcome["graphs"].values())
    print(
        f"{outcome['bundle']}: {outcome['variant']} in {outcome['precision']} for "
        f"{outcome['target']}, {len(outcome['graphs'])} graphs, {outcome['bytes'] / 1e6:.1f} MB, "
        f"in {outcome['seconds']} s"
    )
    if outcome["choice"]:
        chosen = outcome["choice"]["chosen"]
        mix = ", ".join(f"{graph} {kind}" for graph, kind in chosen["precisions"].items())
        print(
            f"chosen: {mix}: {chosen['latency_ms']:.1f} ms a clip, "
            f"{100 * (1 - chosen['agreement']):.2f} % of the decisions change"
        )
    if higher:
        print(f"{higher} products and convolutions are not in eight bits: manifest, kept_higher")
    calibration = outcome["calibration"]
    if calibration and outcome["precision"] in ("int8", "auto"):
        clips = calibration["clips"]
        few = "; at least 64 are advised" if clips < 64 else ""
        print(f"calibrated with {clips} clips, seed {calibration['seed']}{few}")
    print(f"next: {_next(outcome)}")


def _next(outcome: dict[str, Any]) -> str:
    if outcome["target"] in ("cpu", "cuda"):
        device = "" if outcome["target"] == "cpu" else " --device cuda"
        return f"mer-edge infer {outcome['bundle']} CLIP.mp4{device}"
    return f"on the device: mer-edge build {outcome['bundle']}"
