"""``mer-edge prepare``: decode, detect and align every clip of a data set once."""

from __future__ import annotations

import argparse
import json
import shlex
from dataclasses import asdict
from pathlib import Path

from mer_edge.errors import MerEdgeError
from mer_edge.evidence import MEASURED
from mer_edge.stages import require_packages
from train import packages
from train.datasets.registry import configure_dataset, dataset_arguments, dataset_options

TRAINING_CROPS = 3
EVIDENCE_HELP = (
    "sound without a voice, and faces too small or too blurred to read, have no say: in the "
    "prepared clips, in training, and where the bundle runs"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of the data set")
    configure_dataset(parser)
    parser.add_argument(
        "--labels",
        type=lambda text: tuple(part.strip() for part in text.split(",")),
        metavar="A,B,...",
        help="labels and their order (default: the data set's)",
    )
    parser.add_argument(
        "--crops",
        type=int,
        default=TRAINING_CROPS,
        metavar="K",
        help=f"frames per segment, odd (default: {TRAINING_CROPS}, what mer-edge train takes)",
    )
    parser.add_argument("--evidence", action="store_true", help=EVIDENCE_HELP)
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes (default: one per processor)"
    )
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="prepared clips (default: DATA/.prepared)"
    )
    parser.add_argument("--quiet", action="store_true", help="no bar, no table")
    parser.add_argument("--json", action="store_true", help="print the counts as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Prepare; returns the exit code: 0 also where some clips failed, which are listed.

    Raises:
        MerEdgeError: what is wrong with the data, the options or the store, or no clip is usable.
    """
    _check(args)
    options = dataset_options(args)
    require_packages("mer-edge prepare", packages.PREPARE, packages.EXTRA)
    from mer_edge.cli.progress import Bars
    from train.preparation import prepare_data

    with Bars(args.quiet or args.json) as bars:
        found = prepare_data(
            args.data,
            options,
            bars,
            labels=args.labels,
            store=args.cache,
            crops_per_segment=args.crops,
            workers=args.workers,
            evidence=MEASURED if args.evidence else None,
        )
    if args.json:
        print(json.dumps(asdict(found)))
    elif not args.quiet:
        from train.preparation_table import print_preparation

        print_preparation(found)
        print(f"next: {next_command(args)}")
    return 0


def next_command(args: argparse.Namespace) -> str:
    """The training that finds these clips prepared."""
    words = ["mer-edge", "train", str(args.data), *dataset_arguments(dataset_options(args))]
    given = {
        "--labels": None if args.labels is None else ",".join(args.labels),
        "--cache": None if args.cache is None else str(args.cache),
    }
    for name, value in given.items():
        words += [] if value is None else [name, value]
    words += ["--evidence"] if args.evidence else []
    return shlex.join([*words, "--out", "run"])


def _check(args: argparse.Namespace) -> None:
    if args.crops < 1 or args.crops % 2 == 0:
        raise MerEdgeError(
            f"found --crops {args.crops}; expected an odd number, so that one crop is the middle "
            "of its segment"
        )
    if args.workers is not None and args.workers < 1:
        raise MerEdgeError(f"found --workers {args.workers}; expected at least 1, or leave it out")
