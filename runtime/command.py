"""``mer-edge infer``: files in, decisions out."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mer_edge.cli.main import EXIT_BAD_INPUT, EXIT_INTERRUPTED, EXIT_OK
from mer_edge.cli.signals import check_ending
from mer_edge.errors import MerEdgeError
from mer_edge.starter_bundle import in_commands
from runtime.batch import command as batch_command
from runtime.bundle_argument import add_bundle_option, take_bundle
from runtime.clip_arguments import add_clip_arguments, clip_options
from runtime.defects import defect, refused
from runtime.engine_arguments import add_engine_arguments, engine_options
from runtime.output_paths import check_outputs, model_files
from runtime.stream import command as stream_command

if TYPE_CHECKING:
    from mer_edge.clips import ClipOptions
    from mer_edge.result import Result
    from runtime.recognizer import Recognizer
    from runtime.report import Report


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of ``mer-edge infer``."""
    parser.add_argument(
        "files",
        type=Path,
        nargs="*",
        metavar="FILE",
        help="a video, a sound file, a directory of frames, or a folder of all these",
    )
    add_bundle_option(parser)
    add_clip_arguments(parser)
    add_engine_arguments(parser)
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    output.add_argument("--quiet", action="store_true", help="one line a clip, nothing else")
    output.add_argument("--out", type=Path, metavar="FILE", help="write the JSON lines here")
    output.add_argument("--plot", type=Path, metavar="FILE", help="draw the result, .png for one")
    batch_command.configure(parser)
    stream_command.configure(parser)


def run(args: argparse.Namespace) -> int:
    """Recognise every file; a bad one is told and the rest go on.

    Returns:
        0, 2 where a file failed, 130 where interrupted; finished results are on disk then.

    Raises:
        MerEdgeError: nothing can be done for any file: the options, the bundle or the device.
    """
    args.bundle = take_bundle(args.bundle, args.files)
    models = model_files(args.bundle, asr=args.asr)
    check_outputs({"--out": args.out, "--plot": args.plot}, [*models, args.yunet])
    if args.stream is not None:
        return stream_command.run(args)
    if args.files and batch_command.is_job(args):
        return batch_command.run(args)
    _check(args)
    engine = engine_options(args)
    # The report comes first: a wrong --out or --plot is told before the work, not after.
    from runtime.report import Report

    report = Report(json=args.json, quiet=args.quiet, out=args.out, plot=args.plot)
    options = clip_options(args)
    from runtime.recognizer import Recognizer

    recognizer: Recognizer | None = None
    if any(file.exists() for file in args.files):  # else nothing has to be loaded to say so
        recognizer = Recognizer(
            args.bundle, engine.device, engine.threads, min_confidence=args.min_confidence
        )
        report.begin(recognizer.bundle.manifest)
    failed = _recognize_files(recognizer, args.files, options, report)
    if failed is None:
        return EXIT_INTERRUPTED
    once = None
    if recognizer is not None and not (args.json or args.quiet):
        from runtime.verified import suggestion

        once = suggestion(recognizer.bundle)
    report.close(_next_command(args, failed), once)
    return EXIT_BAD_INPUT if failed else EXIT_OK


def _recognize_files(
    recognizer: Recognizer | None, files: list[Path], options: ClipOptions, report: Report
) -> int | None:
    """How many files failed; None where interrupted."""
    failed = done = 0
    try:
        with report:
            with report.progress(len(files)) as progress:
                for file in files:
                    progress.start_file(file)
                    failed += not _recognize_file(recognizer, file, options, report)
                    done += 1
                    check_ending()
            report.write_out()
    except KeyboardInterrupt:
        report.interrupted(done, len(files))
        return None
    return failed


def _recognize_file(
    recognizer: Recognizer | None, file: Path, options: ClipOptions, report: Report
) -> bool:
    """Report every result of a file; False where it ended in an error, which is reported too.

    Args:
        recognizer: None where none of the files exists.
    """
    from runtime.batch.sources import is_empty

    if recognizer is None:
        from mer_edge.media.container import no_such_file

        report.error(file, no_such_file(file))
        return False

    if is_empty(file):
        report.error(
            file,
            MerEdgeError(
                f"{file}: found a folder without media files and images, here and below; expected "
                "a folder of media files, or a directory of frames; name another"
            ),
        )
        return False
    results: Iterator[Result] = recognizer.recognize_all(file, options)
    while True:
        try:
            result = next(results, None)
        except MerEdgeError as error:
            report.error(file, error)
            return False
        except OSError as error:
            report.error(file, refused(file, error))
            return False
        except Exception as error:  # a defect of ours on one file must not stop the others
            check_ending()
            report.error(file, defect(file, error))
            return False
        if result is None:
            return True
        report.result(result)


def _check(args: argparse.Namespace) -> None:
    stream_command.check_not_stream(args)
    if not args.files:
        raise MerEdgeError("found no FILE and no --stream; expected a file or more, or a stream")
    for option, value in (("--text", args.text), ("--text-file", args.text_file)):
        if value is not None and len(args.files) > 1:
            raise MerEdgeError(
                f"{option} was given for {len(args.files)} files; expected one file; put a .txt "
                "with the same name beside each, or run them one by one"
            )
    if args.json and args.quiet:
        raise MerEdgeError("--json and --quiet were given together; expected one of them")
    check_outputs({"--out": args.out, "--plot": args.plot}, [*args.files, args.text_file])


def _next_command(args: argparse.Namespace, failed: int) -> str:
    if failed == len(args.files):
        return "mer-edge doctor"
    if args.out is None:
        return f"mer-edge infer{in_commands(args.bundle)} YOUR_CLIP.mp4 --json --out results.jsonl"
    return f"mer-edge infer{in_commands(args.bundle)} YOUR_CLIP.mp4 --plot picture.png"
