"""A job: which files, with what, how much at once, and where its results go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mer_edge.bundle import Bundle
from mer_edge.clips import ClipOptions
from mer_edge.errors import MerEdgeError
from runtime.backend import check_threads
from runtime.batch.pipeline import (
    DEFAULT_BATCH,
    SEGMENTS_A_RUN,
    Pace,
    Pipeline,
)
from runtime.batch.record import FileRecord
from runtime.batch.sources import find_sources
from runtime.cores import usable_cores
from runtime.recognizer import Recognizer


@dataclass(frozen=True)
class JobOptions:
    """How a job is done."""

    clip: ClipOptions = field(default_factory=ClipOptions)
    """How clips are made; ``text`` without words or a file, which are one file's alone."""
    device: str = "cpu"
    threads: int | None = None
    """CPU threads for the network in all; None: one a usable core."""
    batch: int | None = None
    """Clips at once; None: 8, or as many as the bundle takes if that is fewer."""
    workers: int | None = None
    """Threads that decode and find faces; None: one a usable core."""
    min_confidence: float | None = None
    """See ``runtime.recognizer.Recognizer``."""


DEFAULTS = JobOptions()


def open_pipeline(bundle: Bundle, options: JobOptions) -> Pipeline:
    """Load the graphs and whatever else a job needs.

    Raises:
        MerEdgeError: the device cannot be had, or an option is one that cannot be.
        MissingExtraError: no inference engine is installed.
    """
    check_threads(options.threads)
    on_cpu = options.device == "cpu"
    most = bundle.manifest.shape_ranges["batch"].maximum
    pace = Pace(
        batch=min(DEFAULT_BATCH, most) if options.batch is None else options.batch,
        workers=usable_cores() if options.workers is None else options.workers,
        # One lane feeds a GPU, which does not run faster for two.
        lanes=(options.threads or usable_cores()) if on_cpu else 1,
    )
    recognizer = Recognizer(
        bundle,
        options.device,
        threads=1 if on_cpu else options.threads,
        min_confidence=options.min_confidence,
    )
    recognizer.check_options(options.clip)
    if on_cpu:
        recognizer.chain.take_fewer(SEGMENTS_A_RUN)
    return Pipeline(recognizer, pace, options.clip.yunet)


def infer_files(
    bundle: Bundle | str | Path,
    paths: str | Path | Iterable[str | Path],
    options: JobOptions = DEFAULTS,
) -> Iterator[FileRecord]:
    """The decisions on many files, a record a file, in their order.

    Args:
        paths: media files, directories of frames, folders to be searched, manifests; or one.

    Raises:
        MerEdgeError: nothing can begin: the bundle, the device, an option, or no file found. What
            is wrong with one file is the ``error`` of its record.
    """
    check_text(options.clip)
    loaded = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    found = find_sources(as_paths(paths), options.clip)
    yield from open_pipeline(loaded, options).run(list(found.sources))


def as_paths(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    """One path is a list of one, not of its letters."""
    return [Path(path) for path in ((paths,) if isinstance(paths, (str, Path)) else paths)]


def check_text(options: ClipOptions) -> None:
    """Words cannot be those of many files.

    Raises:
        MerEdgeError: they were given.
    """
    for option, given in (("--text", options.text.text), ("--text-file", options.text.text_file)):
        if given is not None:
            raise MerEdgeError(
                f"{option} was given for a folder or many files; expected one file; put a .txt "
                "with the same name beside each, or name them in a manifest with their text"
            )
