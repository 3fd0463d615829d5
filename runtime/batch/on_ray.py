"""The same job on a Ray cluster, through Ray Data (extra [ray]).

Every actor holds the bundle's graphs and runs the job of one machine on a few files at a time.
Media and bundle are opened by their paths: every node must see them under the same ones, and have
mer-edge installed.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec

from mer_edge.bundle import MANIFEST, Bundle, sha256_of
from mer_edge.cli.aside import run_aside
from mer_edge.clips import ClipOptions
from mer_edge.errors import MerEdgeError, MissingExtraError
from mer_edge.result import Result
from runtime.batch.job import DEFAULTS, JobOptions, as_paths, check_text, open_pipeline
from runtime.batch.record import FileRecord
from runtime.batch.sources import Source, find_sources
from runtime.batch.table import result_fields, table_schema
from runtime.results import printable

KNOCK_S = 10.0
FILES_A_TASK = 16
"""Files that an actor gets at once: what is done again if its node is lost."""


def connect(address: str | None = None) -> None:
    """Join a cluster, unless this process is in one already.

    Args:
        address: of its head; None starts one on this machine, or takes what RAY_ADDRESS names.

    Raises:
        MerEdgeError: there is no cluster.
        MissingExtraError: Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody unasked
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("--ray", "ray[data]", "ray") from error
    ray.data.DataContext.get_current().enable_progress_bars = False
    for name in ("ray", "ray.data"):  # errors of files are in the results
        logging.getLogger(name).setLevel(logging.ERROR)
    if ray.is_initialized():
        return
    try:
        if address is not None:
            _knock(address)
        # Ray's own answers to SIGTERM are to end at once and, a little later, to crash.
        run_aside(lambda: ray.init(address=address, log_to_driver=False, logging_level="error"))
    except (OSError, ValueError, RuntimeError) as error:
        raise MerEdgeError(
            f"--ray {address or ''}: no cluster there ({str(error).splitlines()[0]}); expected the "
            "address of a Ray head, for example 10.0.0.1:6379; start one with: ray start --head"
        ) from error


@contextmanager
def cluster(address: str | None = None) -> Iterator[None]:
    """Join a cluster as ``connect`` does, and leave it at the end.

    Left to the end of the process, when nobody answers signals, processes of Ray could stay.
    """
    joined_before = _is_joined()
    try:
        connect(address)
        yield
    finally:
        if _is_joined() and not joined_before:
            import ray

            run_aside(ray.shutdown)  # in which it takes SIGTERM for itself again


def _is_joined() -> bool:
    ray = sys.modules.get("ray")
    return ray is not None and ray.is_initialized()


def _knock(address: str) -> None:
    """Raise an OSError where nobody listens: Ray itself would try for more than a minute."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        with socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_S):
            pass


def infer_dataset(
    paths: str | Path | Iterable[str | Path],
    bundle: Bundle | str | Path | None = None,
    options: JobOptions = DEFAULTS,
) -> Any:
    """The decisions on many files as a Ray Dataset, a row a result (docs/batch.md has the columns).

    Nothing runs before the dataset is read. ``connect`` or ``ray.init`` comes first.

    Args:
        paths: media files, directories of frames, folders to be searched, manifests; or one.
        bundle: None for the built-in starter.
        options: ``threads`` are the CPUs of one actor (default: 1), ``workers`` its decoding
            threads (default: as many).

    Returns:
        ``ray.data.Dataset``; a file that failed has a row with ``error``.

    Raises:
        MerEdgeError: the bundle is broken, an option cannot be, or there is no file.
    """
    check_text(options.clip)
    loaded = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    found = find_sources(as_paths(paths), options.clip)
    return _dataset(loaded, list(found.sources), options).drop_columns(["file"])


def infer_records(
    bundle: Bundle, sources: list[Source], options: JobOptions
) -> Iterator[FileRecord]:
    """As ``Pipeline.run``, on the cluster.

    Raises:
        MerEdgeError: the cluster could not do it.
    """
    import ray

    try:
        rows = _dataset(bundle, sources, options).iter_rows()
        for number, of_file in groupby(rows, key=itemgetter("file")):
            yield _record(sources[number], of_file)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None)
        told = cause if isinstance(cause, MerEdgeError) else str(error).strip().splitlines()[-1]
        raise MerEdgeError(f"--ray: {told}") from error


def _dataset(bundle: Bundle, sources: list[Source], options: JobOptions) -> Any:
    import ray
    import ray.data

    ray.data.DataContext.get_current().execution_options.preserve_order = True
    cpus = options.threads or 1
    actors = max(1, int(ray.cluster_resources().get("CPU", 1)) // cpus)
    # Fewer files a task than the most where some actors would have nothing to do.
    tasks = math.ceil(len(sources) / max(1, min(FILES_A_TASK, len(sources) // (2 * actors))))
    job = {
        "bundle": str(bundle.path.absolute()),
        "bundle_sha256": sha256_of(bundle.path / MANIFEST),
        "options": replace(options, threads=cpus, workers=options.workers or cpus),
    }
    return ray.data.from_items(
        [_row(number, source) for number, source in enumerate(sources)], override_num_blocks=tasks
    ).map_batches(
        _Actor,
        batch_size=None,
        fn_constructor_args=(job,),
        compute=ray.data.ActorPoolStrategy(size=min(actors, tasks)),
        num_cpus=cpus,
        num_gpus=0 if options.device == "cpu" else 1,
    )


def _row(number: int, source: Source) -> dict[str, Any]:
    """What an actor must know of a file; relative paths mean nothing to it."""
    options = msgspec.json.encode(source.options, enc_hook=str)
    path = str(source.path.absolute())
    text_alone = source.text_alone
    return {
        "file": number,
        "path": path,
        "name": source.name,
        "options": options,
        "text_alone": text_alone,
    }


def _source(path: str, options: bytes, text_alone: str) -> Source:
    known = msgspec.json.decode(options, type=ClipOptions, dec_hook=lambda kind, value: kind(value))
    return Source(Path(path), known, path, text_alone)


class _Actor:
    """One process of the cluster, with its own graphs."""

    def __init__(self, job: dict[str, Any]) -> None:
        bundle = Bundle.load(job["bundle"])
        if sha256_of(bundle.path / MANIFEST) != job["bundle_sha256"]:
            raise MerEdgeError(
                f"{bundle.path}: another bundle on the node {os.uname().nodename} than where the "
                "job was started; expected the same; copy it there"
            )
        self._schema = table_schema(bundle.manifest.labels, file=True)
        self._pipeline = open_pipeline(bundle, job["options"])

    def __call__(self, batch: dict[str, Any]) -> Any:
        import pyarrow

        fields = (batch["path"], batch["options"], batch["text_alone"])
        sources = [_source(*row) for row in zip(*fields, strict=True)]
        records = self._pipeline.run(sources)
        rows: list[dict[str, Any]] = []
        for number, name, record in zip(batch["file"], batch["name"], records, strict=True):
            known = {"file": int(number), "source": printable(name)}
            rows += [{**msgspec.json.decode(line), **known} for line in record.lines()]
        return pyarrow.Table.from_pylist(rows, self._schema)


def _record(source: Source, rows: Iterable[dict[str, Any]]) -> FileRecord:
    results, error = [], None
    for row in rows:
        if row["error"] is not None:
            error = row["error"]
        else:
            results.append(msgspec.convert(result_fields(row), Result))
    return FileRecord(source.key, source.name, tuple(results), error)
