"""``mer-edge verify``: does a bundle still compute here what it was exported to compute?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mer_edge.cli.main import EXIT_OK
from mer_edge.errors import MerEdgeError
from mer_edge.processor import describe_int8, needs_exact_int8
from mer_edge.starter_bundle import in_commands
from runtime.bundle_argument import add_bundle_argument, settle_bundle
from runtime.engine_arguments import add_engine_arguments, engine_options
from runtime.output_paths import check_outputs, model_files

if TYPE_CHECKING:
    from mer_edge.bundle import Bundle
    from runtime.verify import Verification

EXIT_DIFFERS = 1
OLDER = "; this older bundle needs exact kernels where they saturate: export it again for speed"


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of ``mer-edge verify``."""
    add_bundle_argument(parser)
    add_engine_arguments(parser)
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="the report as JSON on stdout")
    output.add_argument("--quiet", action="store_true", help="print nothing but errors")
    output.add_argument("--out", type=Path, metavar="FILE", help="write the JSON report here too")
    output.add_argument("--plot", type=Path, metavar="FILE", help="draw a heat map, .png for one")


def run(args: argparse.Namespace) -> int:
    """Verify; 0 where everything is within its limits, 1 where it is not.

    Raises:
        MerEdgeError: nothing can be measured: the options, the bundle or the device.
    """
    settle_bundle(args)
    _check(args)
    engine = engine_options(args)
    from mer_edge.bundle import Bundle
    from mer_edge.cli.progress import Bars
    from runtime.backend import open_backend
    from runtime.verify import verify

    bundle = Bundle.load(args.bundle)
    backend = open_backend(engine.device, bundle, engine.threads)
    with Bars(quiet=args.quiet or args.json) as bars:
        found = verify(bundle, backend, lambda what, done, n: bars.step("verify", done, n, what))
    if found.passed and engine.device == "cpu":
        from runtime.verified import remember

        remember(bundle)
    _write(args, bundle, found)
    return EXIT_OK if found.passed else EXIT_DIFFERS


def _check(args: argparse.Namespace) -> None:
    if args.json and args.quiet:
        raise MerEdgeError("--json and --quiet were given together; expected one of them")
    check_outputs({"--out": args.out, "--plot": args.plot}, model_files(args.bundle))
    from mer_edge.files import check_new_file

    if args.out is not None:
        check_new_file(args.out, "--out")
    if args.plot is not None:
        from mer_edge.pictures import check_picture

        check_picture(args.plot)
        check_new_file(args.plot, "--plot")


def _write(args: argparse.Namespace, bundle: Bundle, found: Verification) -> None:
    import msgspec

    from mer_edge.files import new_file

    content = msgspec.json.format(msgspec.json.encode(_outcome(args, bundle, found)), indent=2)
    if args.out is not None:
        with new_file(args.out, "writing the report") as temporary:
            temporary.write_bytes(content + b"\n")
    if args.plot is not None and found.parity.measured:
        from mer_edge.parity.picture import draw_parity

        draw_parity(found.parity, args.plot, f"{args.bundle} on {found.engine}")
    if args.json:
        print(content.decode())
    elif not args.quiet:
        _print(args, bundle, found)
    elif not found.passed:
        _print_difference(found)


def _outcome(args: argparse.Namespace, bundle: Bundle, found: Verification) -> dict[str, object]:
    from mer_edge import __version__

    return {
        "bundle": str(args.bundle),
        "variant": bundle.manifest.variant,
        "device": args.device,
        "engine": found.engine,
        "int8": describe_int8() if args.device == "cpu" else None,
        "version": __version__,
        "passed": found.passed,
        "first_difference": found.first_difference,
        "errors": found.errors,
        "parity": found.parity.to_parity() if found.parity.measured else None,
    }


def _print(args: argparse.Namespace, bundle: Bundle, found: Verification) -> None:
    from mer_edge.parity.table import print_parity

    print(f"{args.bundle}: {bundle.manifest.variant}, {found.engine}")
    if bundle.manifest.precision == "int8" and args.device == "cpu":
        exact = any(needs_exact_int8(spec) for spec in bundle.manifest.graphs.values())
        print(f"this processor: {describe_int8()}" + (OLDER if exact else ""))
    if found.parity.measured:
        print_parity(found.parity.to_parity())
    if found.passed:
        print("it computes what PyTorch computed at its export")
        named = in_commands(args.bundle)
        print(f"next: mer-edge infer{named} YOUR_CLIP.mp4 --device {args.device}")
    else:
        _print_difference(found)
        print("next: mer-edge doctor")


def _print_difference(found: Verification) -> None:
    import sys

    print(f"differs: {found.first_difference}", file=sys.stderr)
