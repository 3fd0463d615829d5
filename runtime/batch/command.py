"""``mer-edge infer DIR --out results.jsonl``: many files, results that survive a kill."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from mer_edge.cli.main import EXIT_BAD_INPUT, EXIT_INTERRUPTED, EXIT_OK
from mer_edge.cli.signals import check_ending
from mer_edge.errors import MerEdgeError
from mer_edge.starter_bundle import in_commands
from runtime.clip_arguments import clip_options
from runtime.engine_arguments import engine_options
from runtime.output_paths import check_outputs

if TYPE_CHECKING:
    from mer_edge.bundle import Bundle
    from mer_edge.clips import ClipOptions
    from runtime.batch.job import JobOptions
    from runtime.batch.record import FileRecord
    from runtime.batch.report import JobReport
    from runtime.batch.sources import Source
    from runtime.batch.store import Store

THIS_MACHINE = "this machine"


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of a batch job, as a group of ``mer-edge infer``'s."""
    group = parser.add_argument_group("many files (FILE is a folder or a manifest .jsonl, .csv)")
    group.add_argument("--batch", type=int, metavar="N", help="clips at once (default: 8)")
    group.add_argument(
        "--workers", type=int, metavar="N", help="threads that decode (default: one a core)"
    )
    group.add_argument(
        "--overwrite", action="store_true", help="start --out anew instead of going on with it"
    )
    group.add_argument(
        "--ray",
        nargs="?",
        const=THIS_MACHINE,
        metavar="ADDRESS",
        help="run on a Ray cluster (default: this machine's cores)",
    )


def is_job(args: argparse.Namespace) -> bool:
    """Whether the arguments are those of a batch job: one of its options, a table, many files."""
    options = (args.batch, args.workers, args.ray, args.overwrite or None)
    if any(option is not None for option in options):
        return True
    if args.out is not None and args.out.suffix.lower() == ".parquet":
        return True
    if not any(file.is_dir() or file.suffix.lower() in (".jsonl", ".csv") for file in args.files):
        return False
    from runtime.batch.sources import is_job as is_many

    return any(is_many(file) for file in args.files)


def run(args: argparse.Namespace) -> int:
    """Recognise every file that is not complete in ``--out`` yet.

    Returns:
        0, 2 where a file failed, 130 where interrupted; finished results are on disk then.

    Raises:
        MerEdgeError: nothing can begin: the options, the bundle, the device or ``--out``.
    """
    _check(args)
    from mer_edge.bundle import Bundle
    from runtime.batch.job import JobOptions, check_text
    from runtime.batch.report import JobReport
    from runtime.batch.sources import find_sources

    clip, engine = clip_options(args), engine_options(args)
    check_text(clip)
    options = JobOptions(
        clip, engine.device, engine.threads, args.batch, args.workers, args.min_confidence
    )
    found = find_sources(args.files, clip)
    _check_outputs(args, found.sources)
    _check_hwaccel(clip, found.sources)
    bundle = Bundle.load(args.bundle)
    if args.min_confidence is not None:
        bundle.with_min_confidence(args.min_confidence)  # refused before anything is opened
    report = JobReport(json=args.json, quiet=args.quiet, out=args.out)
    report.begin(bundle.manifest)
    notes = [f"notice: {bundle.manifest.notice}"] if bundle.manifest.notice else []
    if found.passed_over:
        notes.append(f"{found.passed_over} files of the folders are no media by their names")
    failed = _run_job(args, bundle, options, list(found.sources), report, notes)
    if failed is None:
        return EXIT_INTERRUPTED
    return EXIT_BAD_INPUT if failed else EXIT_OK


def _run_job(
    args: argparse.Namespace,
    bundle: Bundle,
    options: JobOptions,
    sources: list[Source],
    report: JobReport,
    notes: list[str],
) -> int | None:
    """How many files failed; None where interrupted."""
    done_before, store = 0, None
    try:
        with _open_store(args, bundle, options) or nullcontext() as store:
            complete = store.done if store is not None else set()
            left = [source for source in sources if source.key not in complete]
            done_before = len(sources) - len(left)
            with (
                report.progress(len(sources), done_before),
                _records(args, bundle, options, left) as records,
            ):
                for record in records:
                    if store is not None:
                        store.add(record)
                    report.record(record)
                    check_ending()
                if store is not None:
                    store.finish()
    except KeyboardInterrupt:
        done = report.files if store is None else len(store.done & {s.key for s in sources})
        report.interrupted(None if store is None else store.kept, done, len(sources))
        return None
    report.close(done_before, notes, _next_command(args, report, done_before))
    return report.failed


def _open_store(args: argparse.Namespace, bundle: Bundle, options: JobOptions) -> Store | None:
    if args.out is None:
        return None
    from runtime.batch.settings import job_settings
    from runtime.batch.store import Store

    settings = job_settings(bundle, options.clip, options.device, options.min_confidence)
    return Store(args.out, settings, bundle.manifest.labels, overwrite=args.overwrite)


@contextmanager
def _records(
    args: argparse.Namespace, bundle: Bundle, options: JobOptions, sources: list[Source]
) -> Iterator[Iterable[FileRecord]]:
    if not sources:
        yield ()
    elif args.ray is not None:
        from runtime.batch.on_ray import cluster, infer_records

        with cluster(None if args.ray == THIS_MACHINE else args.ray):
            yield infer_records(bundle, sources, options)
    else:
        from runtime.batch.job import open_pipeline

        yield open_pipeline(bundle, options).run(sources)


def _check(args: argparse.Namespace) -> None:
    if args.plot is not None:
        raise MerEdgeError(
            "--plot was given for a batch job; expected it for single files; leave it out"
        )
    if args.json and args.quiet:
        raise MerEdgeError("--json and --quiet were given together; expected one of them")
    if args.overwrite and args.out is None:
        raise MerEdgeError("--overwrite was given without --out; expected the results it replaces")


def _check_outputs(args: argparse.Namespace, sources: Sequence[Source]) -> None:
    """Nothing that is written takes the place of a file, its text, or a manifest."""
    if args.out is None:
        return
    from runtime.batch.store import written_files

    named = (file for file in args.files if not file.is_dir())  # a searched folder is not read
    check_outputs(written_files(args.out), [*named, *(source.path for source in sources)])


def _check_hwaccel(clip: ClipOptions, sources: Sequence[Source]) -> None:
    if clip.hwaccel is not None and not any(source.options.hwaccel for source in sources):
        raise MerEdgeError(
            f"found --hwaccel {clip.hwaccel} and no video among the {len(sources)} files; "
            "expected one to decode there; leave --hwaccel out"
        )


def _next_command(args: argparse.Namespace, report: JobReport, done_before: int) -> str:
    if report.files and report.failed == report.files and not done_before:
        return "mer-edge doctor"
    if args.out is None:
        return f"mer-edge infer{in_commands(args.bundle)} {_first(args.files)} --out results.jsonl"
    if report.failed:
        return "the same command tries again what failed"
    return f"mer-edge infer{in_commands(args.bundle)} YOUR_CLIP.mp4 --plot picture.png"


def _first(files: list[Path]) -> str:
    return " ".join(map(str, files[:1])) + (" ..." if len(files) > 1 else "")
