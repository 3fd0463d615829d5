"""``mer-edge ablate``: variants and settings over seeds, one table."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mer_edge.errors import MerEdgeError
from mer_edge.stages import require_packages
from train import packages
from train.ablation.grid import PAPER_VARIANTS, distinct, make_cells, parse_vary, reference_of
from train.command import configure_training, training_options

if TYPE_CHECKING:
    from train.ablation.result import Ablation
    from train.ablation.sweep import Sweep


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: the grid, and those of ``mer-edge train``."""
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of the data set")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="new folder, or one to go on with"
    )
    grid = parser.add_argument_group("grid")
    grid.add_argument(
        "--variants",
        default=",".join(PAPER_VARIANTS),
        metavar="A,B,...",
        help=f"networks to train (default: {','.join(PAPER_VARIANTS)})",
    )
    grid.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="FIELD=A,B",
        help="a training option and its values, such as sem_attention=spatial,key; repeatable",
    )
    grid.add_argument(
        "--seeds", default="0,1,2", metavar="A,B,...", help="runs of each cell (default: 0,1,2)"
    )
    grid.add_argument(
        "--reference",
        metavar="CELL",
        help="what the others are compared with (default: the last variant)",
    )
    grid.add_argument("--note", default="", metavar="TEXT", help="first line of the table")
    configure_training(parser)
    parser.add_argument("--quiet", action="store_true", help="no bars, no table")
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Train what is missing and print the table; returns the exit code, 2 if a run failed.

    Raises:
        MerEdgeError: what is wrong with the grid, the data, the options or the folder.
    """
    require_packages("mer-edge ablate", packages.ABLATE, packages.EXTRA)
    from mer_edge.cli.progress import Bars
    from train.ablation.sweep import ablate
    from train.ablation.writing import check_out, write_ablation
    from train.stopping import Stopped

    sweep = _sweep(args)
    check_out(args.out)
    with Bars(args.quiet or args.json) as bars:
        try:
            ablation = ablate(sweep, bars, lambda known: write_ablation(args.out, known))
        except Stopped as stopped:
            bars.note(f"{stopped} The same command goes on with the ablation.", warning=True)
            return stopped.exit_code
    _show(args, ablation)
    return 2 if ablation.failures else 0


def parse_seeds(text: str) -> list[int]:
    """``0,1,2``

    Raises:
        MerEdgeError: not whole numbers of at least 0, each once.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() for part in parts) or len(set(parts)) < len(parts):
        raise MerEdgeError(
            f"found --seeds {text}; expected whole numbers of at least 0, each once, such as 0,1,2"
        )
    return [int(part) for part in parts]


def _sweep(args: argparse.Namespace) -> Sweep:
    from train.ablation.sweep import Sweep

    if args.variant is not None:
        raise MerEdgeError(
            f"found --variant {args.variant}; expected --variants, with every network to compare"
        )
    variants = [part.strip() for part in args.variants.split(",") if part.strip()]
    if not variants:
        raise MerEdgeError("found no name in --variants; expected at least one")
    cells = make_cells(variants, [parse_vary(text) for text in args.vary])
    base = training_options(args)
    seeds = parse_seeds(args.seeds)
    for cell in cells:
        # A value out of its range is told before anything is trained; a combination that makes
        # no network only when its turn comes, for the others of the grid may be fine.
        replace(base, variant=cell.variant, **cell.changes)
    reference = reference_of(cells, args.reference)
    cells, twins = distinct(cells, base)
    reference = twins.get(reference, reference)
    return Sweep(args.data, args.out, base, cells, seeds, reference, args.note, twins)


def _show(args: argparse.Namespace, ablation: Ablation) -> None:
    if args.json:
        from train.ablation.writing import as_json

        print(as_json(ablation))
    elif not args.quiet:
        from train.ablation.tables import print_ablation

        print_ablation(ablation)
        print(f"written: {args.out} (ablation.json, .md, .csv, .png, runs.csv, the runs)")
        seed = ablation.seeds[0]
        folder = args.out / ablation.reference / f"seed-{seed}"
        print(f"next: mer-edge evaluate {folder} --out {args.out}-evaluation")
