"""``mer-edge infer --stream SOURCE``: decisions while it happens."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mer_edge.cli.main import EXIT_BAD_INPUT, EXIT_INTERRUPTED, EXIT_OK, one_line
from mer_edge.cli.signals import check_ending
from mer_edge.errors import MerEdgeError
from mer_edge.starter_bundle import in_commands
from runtime.clip_arguments import clip_options
from runtime.engine_arguments import engine_options
from runtime.output_paths import check_outputs

if TYPE_CHECKING:
    from runtime.stream.report import StreamReport
    from runtime.stream.session import Session
    from runtime.stream.source import Source

FOREVER = "forever"
SOURCE = "a camera (0, /dev/video0), a URL (rtsp, udp, http, ...), - for stdin, or a file"


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of a stream, as a group of ``mer-edge infer``'s."""
    group = parser.add_argument_group("stream (instead of FILE)")
    group.add_argument("--stream", metavar="SOURCE", help=SOURCE)
    add_stream_options(group)


def add_stream_options(group: argparse._ActionsContainer) -> None:
    """Those that ``mer-edge stream`` has as well."""
    group.add_argument(
        "--window-segments", type=int, metavar="N", help="segments of 0.96 s (default: 5)"
    )
    group.add_argument(
        "--reconnect", metavar="N", help="attempts for a lost source, or forever (default: 5)"
    )
    group.add_argument(
        "--realtime", action="store_true", help="let a file arrive as slowly as it was recorded"
    )
    group.add_argument(
        "--stream-format",
        metavar="NAME[:OPTION=VALUE...]",
        help="FFmpeg's format of the source, such as s16le:sample_rate=16000:ch_layout=mono",
    )


def check_not_stream(args: argparse.Namespace) -> None:
    """Refuse the options of a stream where there is none.

    Raises:
        MerEdgeError: one of them was given.
    """
    for option, given in (
        ("--window-segments", args.window_segments is not None),
        ("--reconnect", args.reconnect is not None),
        ("--realtime", args.realtime),
        ("--stream-format", args.stream_format is not None),
    ):
        if given:
            raise MerEdgeError(
                f"{option} was given without --stream; expected it only for a stream"
            )


def run(args: argparse.Namespace) -> int:
    """Decide until the source ends, is lost for good, or is interrupted.

    Returns:
        0 at the source's end, 2 where it broke off or was lost, 130 where interrupted.

    Raises:
        MerEdgeError: nothing can begin: the options, the bundle, the device or the source.
    """
    _check(args)
    engine = engine_options(args)
    from runtime.stream.report import StreamReport

    report = StreamReport(json=args.json, quiet=args.quiet, out=args.out)
    attempts = _attempts(args.reconnect)
    from runtime.stream.session import Session, SessionOptions
    from runtime.stream.source import parse_source

    options = SessionOptions(
        clip=clip_options(args),
        window_segments=5 if args.window_segments is None else args.window_segments,
        reconnect=attempts,
        realtime=args.realtime,
    )
    source = parse_source(args.stream, args.stream_format)
    _check_format(args.stream_format, source)
    from runtime.recognizer import Recognizer

    recognizer = Recognizer(
        args.bundle, engine.device, engine.threads, min_confidence=args.min_confidence
    )
    report.begin(recognizer.bundle.manifest)
    session = Session(recognizer, source, options)
    code = _decide(session, report)
    if code == EXIT_INTERRUPTED:
        report.end()
    report.close(source.name, session.stream.counts, _next_command(args))
    if code == EXIT_INTERRUPTED:
        report.interrupted(session.stream.counts)
    return code


def _decide(session: Session, report: StreamReport) -> int:
    try:
        with report, session:
            for result in session.results():
                report.result(result, session.stream.counts)
                check_ending()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except MerEdgeError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr, flush=True)
        return EXIT_BAD_INPUT
    return EXIT_OK


def _check(args: argparse.Namespace) -> None:
    if args.files:
        raise MerEdgeError(
            f"found --stream {args.stream} and {args.files[0]}; expected one of them; leave the "
            "files out, or the stream"
        )
    if args.json and args.quiet:
        raise MerEdgeError("--json and --quiet were given together; expected one of them")
    for option, given in (
        ("--plot", args.plot is not None),
        ("--batch", args.batch is not None),
        ("--workers", args.workers is not None),
        ("--overwrite", args.overwrite),
        ("--ray", args.ray is not None),
    ):
        if given:
            raise MerEdgeError(
                f"{option} was given with --stream; expected it for files; leave it out"
            )
    if args.out is not None and args.out.suffix.lower() == ".parquet":
        raise MerEdgeError(
            f"found --out {args.out} for a stream, whose decisions are JSON lines, written as they "
            f"are made; expected a name such as {args.out.with_suffix('.jsonl')}; take that, or "
            "record the stream first and infer the file"
        )
    check_outputs({"--out": args.out}, [Path(args.stream), args.text_file])


def _check_format(given: str | None, source: Source) -> None:
    """No option of the format is taken and forgotten, as FFmpeg does."""
    if given is None or source.format is None:
        return
    from runtime.stream.format_options import check_format_options

    protocol = "pipe" if source.target == "pipe:0" else "file"
    if source.kind == "url":
        protocol = source.target.split("://", 1)[0].lower()
    options = dict(pair.split("=", 1) for pair in given.split(":")[1:])
    check_format_options(given, source.format, options, protocol)


def _attempts(given: str | None) -> float | None:
    if given is None:
        return None
    if given == FOREVER:
        return math.inf
    if not given.isdecimal():
        raise MerEdgeError(
            f"found --reconnect {given}; expected a number of attempts, 0 for none, or {FOREVER}"
        )
    return int(given)


def _next_command(args: argparse.Namespace) -> str:
    if args.out is None:
        return f"mer-edge stream{in_commands(args.bundle)} SOURCE --json --out results.jsonl"
    return f"mer-edge infer{in_commands(args.bundle)} YOUR_CLIP.mp4"
