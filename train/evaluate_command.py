"""``mer-edge evaluate``: what runs and bundles are worth on labelled clips."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mer_edge.stages import require_packages
from train import packages
from train.datasets.registry import configure_dataset, dataset_options

if TYPE_CHECKING:
    from train.evaluation.session import Request


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "subjects",
        type=Path,
        nargs="+",
        metavar="RUN_OR_BUNDLE",
        help="one, or several side by side",
    )
    parser.add_argument(
        "--against",
        type=Path,
        nargs="+",
        default=[],
        metavar="RUN",
        help="runs of the same seeds to compare with by a paired t-test",
    )
    parser.add_argument(
        "--data", type=Path, metavar="DATA", help="data set (default: the first run's own)"
    )
    configure_dataset(parser)
    parser.add_argument("--split", default="test", help="train, valid or test (default: test)")
    parser.add_argument(
        "--temperature",
        action="store_true",
        help="fit a temperature on the validation split and say what it mends",
    )
    parser.add_argument(
        "--resamples",
        type=int,
        default=1000,
        metavar="N",
        help="of the clips, for the confidence intervals (default: 1000)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of resamples and t-SNE (default: 0)"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that prepare clips")
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="prepared clips (default: DATA/.prepared)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="new folder for JSON, predictions and pictures"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier evaluation")
    parser.add_argument("--quiet", action="store_true", help="no bars, no tables")
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Evaluate; returns the exit code.

    Raises:
        MerEdgeError: what is wrong with a subject, the data or the options.
    """
    require_packages("mer-edge evaluate", packages.EVALUATE, packages.EXTRA)
    from mer_edge.cli.progress import Bars
    from train.evaluation.session import evaluate
    from train.evaluation.writing import as_json, check_new_evaluation, write_evaluation

    if args.out is not None:
        check_new_evaluation(args.out, args.overwrite)
    with Bars(args.quiet or args.json) as bars:
        evaluation, evaluated = evaluate(_request(args), bars)
        if args.out is not None:
            write_evaluation(args.out, evaluation, evaluated, overwrite=args.overwrite)
    if args.json:
        print(as_json(evaluation))
    elif not args.quiet:
        from train.evaluation.tables import print_evaluation

        print_evaluation(evaluation)
        if args.out is not None:
            print(f"written: {args.out} (evaluation.json, predictions, pictures)")
        print(f"next: {_next_command(args, evaluation.subjects[0].info.kind)}")
    return 0


def _request(args: argparse.Namespace) -> Request:
    from train.evaluation.intervals import Bootstrap
    from train.evaluation.session import Request

    return Request(
        subjects=tuple(args.subjects),
        against=tuple(args.against),
        data=args.data,
        dataset=dataset_options(args),
        split=args.split,
        temperature=args.temperature,
        bootstrap=Bootstrap(args.resamples, seed=args.seed),
        features=args.out is not None,
        device=args.device,
        store=args.cache,
        workers=args.workers,
    )


def _next_command(args: argparse.Namespace, kind: str) -> str:
    first = args.subjects[0]
    if args.out is None:
        return f"mer-edge evaluate {' '.join(map(str, args.subjects))} --out evaluation"
    if kind == "run":
        return f"mer-edge export {first} --out {first}-bundle"
    return f"mer-edge infer {first} YOUR_CLIP.mp4"
