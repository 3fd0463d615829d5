"""``mer-edge bench``: what a bundle costs on this machine, and what others cost beside it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mer_edge.cli.main import EXIT_INTERRUPTED, EXIT_OK
from mer_edge.errors import MerEdgeError
from mer_edge.starter_bundle import in_commands
from runtime.bundle_argument import add_bundle_argument, settle_bundle
from runtime.engine_arguments import add_engine_arguments, engine_options
from runtime.output_paths import check_outputs, model_files

if TYPE_CHECKING:
    from runtime.bench.report import BenchReport
    from runtime.bench.session import Measurement


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of ``mer-edge bench``."""
    add_bundle_argument(parser)
    work = parser.add_argument_group("what is run")
    work.add_argument("--clip", type=Path, metavar="FILE", help="a media file, decoding included")
    work.add_argument("--segments", type=int, metavar="N", help="of a synthetic clip (default: 5)")
    work.add_argument("--tokens", type=int, metavar="N", help="of its text (default: 32)")
    work.add_argument("--rounds", type=int, default=100, metavar="N", help="runs (default: 100)")
    work.add_argument(
        "--warm-ups", type=int, default=5, metavar="N", help="runs before them (default: 5)"
    )
    work.add_argument(
        "--batch", type=int, metavar="N", help="clips at once for the throughput (default: 8)"
    )
    work.add_argument(
        "--cold-runs", type=int, default=5, metavar="N", help="new processes (default: 5; 0: none)"
    )
    peer = parser.add_argument_group("beside what, in turns")
    peer.add_argument(
        "--against",
        metavar="PEER",
        help="pytorch, torch-compile, onnxruntime, onnxruntime-merged, openvino (bf16), "
        "openvino-fp32, or another BUNDLE",
    )
    peer.add_argument(
        "--run", type=Path, metavar="RUN", help="the training run whose weights the peer takes"
    )
    add_engine_arguments(parser)
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="the report as JSON on stdout")
    output.add_argument("--quiet", action="store_true", help="print nothing but errors")
    output.add_argument("--out", type=Path, metavar="FILE", help="write it: .json or .md")
    output.add_argument("--plot", type=Path, metavar="FILE", help="draw a clip's stages (.png)")
    output.add_argument(
        "--trace", type=Path, metavar="FILE", help="the stages as a trace for ui.perfetto.dev"
    )


def run(args: argparse.Namespace) -> int:
    """Measure; 0, or 130 after Ctrl-C, when what was measured until then is told.

    Raises:
        MerEdgeError: nothing can be measured: the options, the bundle, the device or the peer.
    """
    settle_bundle(args)
    _check(args)
    engine = engine_options(args)
    from mer_edge.bundle import Bundle
    from mer_edge.cli.progress import Bars
    from runtime.bench.options import BenchOptions
    from runtime.bench.peers import check_peer
    from runtime.bench.session import Session

    options = BenchOptions(
        device=engine.device,
        threads=engine.threads,
        clip=args.clip,
        segments=5 if args.segments is None else args.segments,
        tokens=32 if args.tokens is None else args.tokens,
        rounds=args.rounds,
        warm_ups=args.warm_ups,
        batch=args.batch,
        cold_runs=args.cold_runs,
        against=args.against,
        run=args.run,
    )
    if options.against is not None:
        check_peer(options.against, options.run, options.device)
    bundle = Bundle.load(args.bundle)
    with Bars(quiet=args.quiet or args.json) as bars:
        found = Session(bundle, options, bars.step).run()
    _write(args, found)
    if found.report.interrupted:
        _tell_interrupted(args)
        return EXIT_INTERRUPTED
    return EXIT_OK


def _tell_interrupted(args: argparse.Namespace) -> None:
    """On stderr, where --json and --quiet do not keep it back."""
    told = "nothing was kept" if args.quiet else "what was measured is in the report"
    if args.out is not None:
        told = f"what was measured is in {args.out}"
    print(f"interrupted: {told}", file=sys.stderr, flush=True)


def _check(args: argparse.Namespace) -> None:
    if args.json and args.quiet:
        raise MerEdgeError("--json and --quiet were given together; expected one of them")
    for option, value in (("--segments", args.segments), ("--tokens", args.tokens)):
        if args.clip is not None and value is not None:
            raise MerEdgeError(f"found {option} with --clip, which has its own; leave one out")
    outputs = {"--out": args.out, "--plot": args.plot, "--trace": args.trace}
    peer = () if args.against is None else model_files(Path(args.against))
    check_outputs(outputs, [args.clip, *model_files(args.bundle, run=args.run), *peer])
    if args.out is not None:
        from runtime.bench.outputs import check_out

        check_out(args.out)
    if args.trace is not None:
        from mer_edge.files import check_new_file

        check_new_file(args.trace, f"--trace {args.trace}")
    if args.plot is not None:
        from mer_edge.files import check_new_file
        from mer_edge.pictures import check_picture

        check_picture(args.plot)
        check_new_file(args.plot, f"--plot {args.plot}")


def _write(args: argparse.Namespace, found: Measurement) -> None:
    from runtime.bench.outputs import as_json, print_report, write_report

    report = found.report
    written = []
    if args.out is not None:
        write_report(report, args.out)
        written.append(args.out)
    if found.spans:
        written += _draw(args, found)
    if args.json:
        print(as_json(report).decode())
    elif not args.quiet:
        print_report(report)
        for path in written:
            print(f"wrote {path}")
        print(f"next: {_next_command(args, report)}")


def _draw(args: argparse.Namespace, found: Measurement) -> list[Path]:
    """The picture and the trace, as far as they were asked for."""
    report, written = found.report, []
    title = f"{Path(report.bundle.path).name}, {report.bundle.precision}, {report.engine}"
    if args.plot is not None:
        from runtime.bench.waterfall import draw_waterfall

        draw_waterfall(found.spans, args.plot, title)
        written.append(args.plot)
    if args.trace is not None:
        from runtime.bench.trace import write_trace

        facts = {"bundle": report.bundle.sha256, "engine": report.engine, "commit": report.commit}
        write_trace(found.spans, args.trace, title, facts)
        written.append(args.trace)
    return written


def _next_command(args: argparse.Namespace, report: BenchReport) -> str:
    named = in_commands(args.bundle)
    if report.interrupted:
        return f"mer-edge bench{named} --rounds 10 --cold-runs 1"
    if report.stability is not None and report.stability.noisy:
        return f"close other programs, then: mer-edge bench{named}"
    if args.against is None:
        return f"mer-edge bench{named} --against pytorch"
    if args.out is None:
        return f"mer-edge bench{named} --against {args.against} --out bench.md"
    return f"mer-edge infer{named} YOUR_CLIP.mp4"
