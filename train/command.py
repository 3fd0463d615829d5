"""``mer-edge train``: a folder of labelled clips to a checkpoint."""

from __future__ import annotations

import argparse
import importlib.util
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from mer_edge.errors import MissingExtraError
from train.options import PRESET_OPTIONS, TrainOptions, options_for

if TYPE_CHECKING:
    from train.report import TrainReport


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments; a number that is not given is the preset's."""
    parser.add_argument("data", type=Path, metavar="DATA", help="folder with manifest.jsonl")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="new folder")
    parser.add_argument(
        "--preset", default="paper", help=f"{', '.join(PRESET_OPTIONS)} (default: paper)"
    )
    _configure_learning(parser)
    weights = parser.add_argument_group("weights to start from")
    weights.add_argument("--bert", metavar="DIR_OR_NAME", help="Hugging Face BERT")
    weights.add_argument("--vggish", type=Path, metavar="FILE", help="VGGish .pth/.safetensors")
    weights.add_argument("--resnet", type=Path, metavar="FILE", help="ResNet18 .pth/.safetensors")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that prepare clips")
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="prepared clips (default: DATA/.prepared)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier run")
    parser.add_argument("--quiet", action="store_true", help="no bars, no summary")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")


def _configure_learning(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("learning (default: the preset's)")
    group.add_argument(
        "--labels",
        type=lambda text: tuple(part.strip() for part in text.split(",")),
        metavar="A,B,...",
        help="labels and their order (default: those of the data, alphabetical)",
    )
    group.add_argument("--epochs", type=int, metavar="N", help="at most")
    group.add_argument("--patience", type=int, metavar="N", help="epochs without a better one")
    group.add_argument("--batch-size", type=int, metavar="N", help="clips")
    group.add_argument("--lr", type=float, metavar="RATE", help="Adam's step")
    group.add_argument(
        "--modality-dropout",
        type=float,
        metavar="P",
        help="chance that a clip's sound, face or text is hidden",
    )
    group.add_argument(
        "--modality-loss",
        type=float,
        metavar="W",
        help="weight of the loss of each modality's own decision",
    )
    group.add_argument("--seed", type=int, metavar="N", help="default: 0")


def run(args: argparse.Namespace) -> int:
    """Train; returns the exit code.

    Raises:
        MerEdgeError: what is wrong with the data, the options or the machine.
    """
    options = _options(args)
    _require_packages()
    from mer_edge.cli.progress import Bars
    from train.run import train

    quiet = args.quiet or args.json
    with Bars(quiet) as bars:
        report = train(args.data, args.out, options, bars, overwrite=args.overwrite)
    if args.json:
        print(json.dumps(asdict(report)))
    elif not args.quiet:
        print(summary(report))
        print(f"next: mer-edge export {args.out} --out {args.out}-bundle")
    return 0


def summary(report: TrainReport) -> str:
    """What the run found, a line a split."""
    lines = [f"{report.run}: best epoch {report.best_epoch} of {report.epochs}"]
    for name, scores in (("valid", report.valid), ("test", report.test)):
        if scores is not None:
            tuned = scores.tuned
            lines.append(
                f"  {name:5}  {scores.clips} clips: average F1 {tuned.f1:.3f}, accuracy "
                f"{tuned.accuracy:.3f}, weighted accuracy {tuned.weighted_accuracy:.3f} "
                f"(F1 {scores.at_half.f1:.3f} at thresholds of 0.5)"
            )
    if report.skipped:
        lines.append(f"  {len(report.skipped)} clips left out; see {report.run}/report.json")
    return "\n".join(lines)


def _options(args: argparse.Namespace) -> TrainOptions:
    return options_for(
        args.preset,
        labels=args.labels,
        epochs=args.epochs,
        patience_epochs=args.patience,
        batch_size=args.batch_size,
        learning_rate=args.lr,
        modality_dropout=args.modality_dropout,
        modality_loss_weight=args.modality_loss,
        seed=args.seed,
        device=args.device,
        bert=args.bert,
        vggish=args.vggish,
        resnet=args.resnet,
        workers=args.workers,
        cache=args.cache,
    )


def _require_packages() -> None:
    for package in ("torch", "torchvision", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError("mer-edge train", package, "train,cpu")
