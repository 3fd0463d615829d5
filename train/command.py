"""``mer-edge train``: a data set to a checkpoint."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from mer_edge.errors import MerEdgeError
from mer_edge.evidence import MEASURED
from mer_edge.model.config import VARIANTS
from mer_edge.stages import require_packages
from train import packages
from train.datasets.registry import configure_dataset, dataset_options
from train.distill_settings import DistillSettings
from train.options import PRECISIONS, PRESET_OPTIONS, TrainOptions, options_for
from train.prepare_command import EVIDENCE_HELP

if TYPE_CHECKING:
    from train.report import SplitScores, TrainReport


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments; a number that is not given is the preset's."""
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of the data set")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="new folder")
    configure_training(parser)
    parser.add_argument("--seed", type=int, metavar="N", help="default: 0")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--overwrite", action="store_true", help="replace an earlier run")
    again.add_argument(
        "--resume", action="store_true", help="go on with the run that was interrupted"
    )
    parser.add_argument("--quiet", action="store_true", help="no bars, no summary")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")


def configure_training(parser: argparse.ArgumentParser) -> None:
    """Declare what is learned and how, apart from the seed; ``ablate`` takes the same."""
    configure_dataset(parser)
    parser.add_argument(
        "--preset", default="paper", help=f"{', '.join(PRESET_OPTIONS)} (default: paper)"
    )
    _configure_network(parser)
    _configure_learning(parser)
    _configure_weights(parser)
    machine = parser.add_argument_group("machine")
    machine.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    machine.add_argument(
        "--precision", help=f"{', '.join(PRECISIONS)}: mixed precision (default: fp32)"
    )
    machine.add_argument("--threads", type=int, metavar="N", help="of PyTorch on the CPU")
    machine.add_argument("--workers", type=int, metavar="N", help="processes that prepare clips")
    machine.add_argument("--loaders", type=int, metavar="N", help="threads that read clips ahead")
    machine.add_argument(
        "--gradient-checkpointing",
        action="store_true",
        default=None,
        help="less memory, more time: compute activations again in the backward pass",
    )
    machine.add_argument(
        "--crops", type=int, metavar="K", help="frames prepared per segment, odd (default: 3)"
    )
    machine.add_argument("--evidence", action="store_true", default=None, help=EVIDENCE_HELP)
    machine.add_argument(
        "--cache", type=Path, metavar="DIR", help="prepared clips (default: DATA/.prepared)"
    )


def _configure_network(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("network (default: the whole one of the paper)")
    group.add_argument("--variant", metavar="NAME", help=", ".join(VARIANTS))
    group.add_argument("--sem-attention", metavar="FORM", help="spatial, key or tokens")
    group.add_argument(
        "--audio-sem",
        type=_positions,
        metavar="2,4",
        help="SEMs after these groups of VGGish, or none",
    )
    group.add_argument(
        "--visual-sem",
        type=_positions,
        metavar="3,5",
        help="SEMs after these stages of ResNet, or none",
    )
    group.add_argument("--cross-modal", metavar="FORM", help="mbt, joint, bi_cross or none")
    group.add_argument(
        "--labels",
        type=lambda text: tuple(part.strip() for part in text.split(",")),
        metavar="A,B,...",
        help="labels and their order (default: the data set's)",
    )
    group.add_argument(
        "--task",
        metavar="KIND",
        help="multilabel: independent labels (default); multiclass: one label a clip",
    )


def _configure_learning(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("learning (default: the preset's)")
    number: tuple[tuple[str, Callable[[str], float], str, str], ...] = (
        ("--epochs", int, "N", "at most"),
        ("--patience", int, "N", "epochs without a better one"),
        ("--batch-size", int, "N", "clips of a step, over all processes and parts"),
        ("--accumulate", int, "N", "parts of a step, computed one after the other"),
        ("--lr", float, "RATE", "Adam's step"),
        ("--backbone-lr", float, "RATE", "of backbones with loaded weights"),
        ("--warmup-steps", int, "N", "over which the rates rise to their values"),
        ("--clip-norm", float, "NORM", "largest norm of the gradients"),
        ("--modality-dropout", float, "P", "chance that a clip's sound, face or text is hidden"),
        ("--modality-loss", float, "W", "weight of the loss of each modality's own decision"),
    )
    for name, kind, metavar, text in number:
        group.add_argument(name, type=kind, metavar=metavar, help=text)
    group.add_argument(
        "--class-weights",
        metavar="HOW",
        help="how rare labels count with --task multiclass: none, sqrt (default) or balanced",
    )
    group.add_argument(
        "--linear-decay",
        action=argparse.BooleanOptionalAction,
        help="let the rates fall to 0 over the epochs",
    )
    group.add_argument(
        "--augment",
        action="store_true",
        default=None,
        help="change sound and faces at random while training",
    )


def _configure_weights(parser: argparse.ArgumentParser) -> None:
    weights = parser.add_argument_group("weights to start from, a teacher to learn from")
    weights.add_argument("--bert", metavar="DIR_OR_NAME", help="BERT: a directory or hub name")
    weights.add_argument(
        "--vggish",
        metavar="FILE_OR_NAME",
        help="VGGish: .pth/.safetensors, a run, or owner/name[:FILE] on the hub",
    )
    weights.add_argument("--resnet", metavar="FILE_OR_NAME", help="ResNet18: the same")
    weights.add_argument("--teacher", type=Path, metavar="RUN", help="a larger, trained run")
    default = DistillSettings()
    for name, value, text in (
        ("--distill-logits", default.logits_weight, "the teacher's share of the loss, 0 to 1"),
        ("--distill-features", default.features_weight, "weight of the features' distance"),
        ("--distill-temperature", default.temperature, "of both's logits"),
    ):
        weights.add_argument(name, type=float, metavar="X", help=f"{text} (default: {value:g})")


def _positions(text: str) -> tuple[int, ...]:
    if text.strip() == "none":
        return ()
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"found {text}; expected numbers separated by commas, or none"
        ) from None


def run(args: argparse.Namespace) -> int:
    """Train; returns the exit code.

    Raises:
        MerEdgeError: what is wrong with the data, the options or the machine.
    """
    options = training_options(args, seed=args.seed)
    require_packages("mer-edge train", packages.TRAIN, packages.EXTRA)
    from mer_edge.cli.progress import Bars
    from train.distributed import is_main_process
    from train.run import train
    from train.stopping import Stopped

    quiet = args.quiet or args.json or not is_main_process()
    with Bars(quiet) as bars:
        try:
            report = train(
                args.data, args.out, options, bars, overwrite=args.overwrite, resume=args.resume
            )
        except Stopped as stopped:
            bars.note(str(stopped), warning=True)
            return stopped.exit_code
    if not is_main_process():
        return 0
    if args.json:
        print(json.dumps(asdict(report)))
    elif not args.quiet:
        print(summary(report))
        print(f"next: mer-edge evaluate {args.out}")
        print(f"      mer-edge export {args.out} --out {args.out}-bundle")
    return 0


def summary(report: TrainReport) -> str:
    """What the run found, a line a split."""
    lines = [f"{report.run}: best epoch {report.best_epoch} of {report.epochs}"]
    for name, scores in (("valid", report.valid), ("test", report.test)):
        if scores is not None:
            lines.append(f"  {name:5}  {scores.clips} clips: {_figures(scores)}")
    if report.skipped:
        lines.append(f"  {len(report.skipped)} clips left out; see {report.run}/report.json")
    return "\n".join(lines)


def _figures(scores: SplitScores) -> str:
    if scores.classes is not None:
        found = scores.classes
        return (
            f"macro-F1 {found.macro_f1:.3f}, accuracy {found.accuracy:.3f}, UAR "
            f"{found.unweighted_average_recall:.3f}"
        )
    tuned, half = scores.tuned, scores.at_half
    at_half = "" if half is None else f" (F1 {half.f1:.3f} at thresholds of 0.5)"
    return (
        f"average F1 {tuned.f1:.3f}, accuracy {tuned.accuracy:.3f}, weighted accuracy "
        f"{tuned.weighted_accuracy:.3f}{at_half}"
    )


def training_options(args: argparse.Namespace, **changes: object) -> TrainOptions:
    """The options that the arguments of :func:`configure_training` ask for, and ``changes``.

    Raises:
        MerEdgeError: a value out of its range, or one that means nothing without another.
    """
    if args.backbone_lr is not None and args.vggish is None and args.resnet is None:
        raise MerEdgeError(
            "--backbone-lr without --vggish or --resnet: it is the rate of backbones with loaded "
            "weights; leave it out, or name the weights"
        )
    given = {
        "variant": args.variant,
        "sem_attention": args.sem_attention,
        "audio_sem_positions": args.audio_sem,
        "visual_sem_positions": args.visual_sem,
        "cross_modal": args.cross_modal,
        "dataset": dataset_options(args),
        "labels": args.labels,
        "task": args.task,
        "class_weights": args.class_weights,
        "epochs": args.epochs,
        "patience_epochs": args.patience,
        "batch_size": args.batch_size,
        "accumulation": args.accumulate,
        "learning_rate": args.lr,
        "backbone_learning_rate": args.backbone_lr,
        "warmup_steps": args.warmup_steps,
        "clip_norm": args.clip_norm,
        "modality_dropout": args.modality_dropout,
        "modality_loss_weight": args.modality_loss,
        "linear_decay": args.linear_decay,
        "augment": args.augment,
        "evidence": MEASURED if args.evidence else None,
        "device": args.device,
        "precision": args.precision,
        "threads": args.threads,
        "crops_per_segment": args.crops,
        "workers": args.workers,
        "loaders": args.loaders,
        "gradient_checkpointing": args.gradient_checkpointing,
        "cache": args.cache,
        "bert": args.bert,
        "vggish": args.vggish,
        "resnet": args.resnet,
        "teacher": args.teacher,
        "distill": _distillation(args),
    }
    return options_for(args.preset, **{**given, **changes})


def _distillation(args: argparse.Namespace) -> DistillSettings | None:
    given = {
        "logits_weight": args.distill_logits,
        "features_weight": args.distill_features,
        "temperature": args.distill_temperature,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if given and args.teacher is None:
        raise MerEdgeError(
            f"--distill-* without --teacher ({', '.join(given)}); expected the run to learn from; "
            "add --teacher RUN"
        )
    return DistillSettings(**given)
