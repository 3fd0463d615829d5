"""Results as a Parquet table: one row a result, the columns are the fields of ``Result``.

What differs between bundles is a struct: ``probabilities.happy``, ``timings_ms.audio``. A file that
failed has a row of its own with ``source`` and ``error`` and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from mer_edge.bundle import GRAPHS
from mer_edge.errors import MerEdgeError, MissingExtraError
from mer_edge.result import Result
from mer_edge.segments import MODALITIES

ROWS_A_GROUP = 4096
"""Rows in memory at once."""
STAGES = ("media", "tokenize", *(name for name in GRAPHS if not name.endswith("_stem")), "total")


def require_pyarrow() -> None:
    """Raise a MissingExtraError where tables cannot be had."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("--out with .parquet", "pyarrow", "batch") from error


def write_table(lines: Path, target: Path, labels: list[str]) -> None:
    """Make a table of JSON lines, in bounded memory."""
    import pyarrow
    import pyarrow.parquet as parquet

    schema = table_schema(labels)
    with parquet.ParquetWriter(target, schema, compression="zstd") as writer, lines.open("rb") as f:
        rows = (msgspec.json.decode(line) for line in f)
        while group := list(islice(rows, ROWS_A_GROUP)):
            writer.write_table(pyarrow.Table.from_pylist(group, schema))


def read_table(source: Path, lines: Path) -> None:
    """The JSON lines a table was made of.

    Raises:
        MerEdgeError: no table of results.
    """
    with lines.open("wb") as file:
        for row in _rows(source):
            failed = row["error"] is not None
            fields = {k: row[k] for k in ("source", "error")} if failed else result_fields(row)
            file.write(msgspec.json.encode(fields) + b"\n")


def result_fields(row: dict[str, Any]) -> dict[str, Any]:
    """The fields of the ``Result`` that a row without an error is."""
    # An older table lacks what has been added to results since.
    fields = {name: row[name] for name in Result.__dataclass_fields__ if name in row}
    # A bundle without the graph has no time of it.
    for name in ("timings_ms", "thresholds"):
        if name in fields:
            fields[name] = {k: v for k, v in row[name].items() if v is not None}
    return fields


def count_rows(source: Path) -> int:
    """Rows of a table.

    Raises:
        MerEdgeError: no table of results.
    """
    with _opened(source) as file:
        return int(file.metadata.num_rows)


def _rows(source: Path) -> Iterator[dict[str, Any]]:
    with _opened(source) as file:
        for batch in file.iter_batches(ROWS_A_GROUP):
            yield from batch.to_pylist()


@contextmanager
def _opened(source: Path) -> Iterator[Any]:
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        with parquet.ParquetFile(source) as file:
            yield file
    except (pyarrow.ArrowException, OSError) as error:
        raise MerEdgeError(
            f"{source}: not readable as Parquet ({str(error).splitlines()[0]}); expected results "
            "of mer-edge infer; add --overwrite to start anew"
        ) from error


def table_schema(labels: list[str], *, file: bool = False) -> Any:
    """The columns; all may be null.

    Args:
        file: whether there is also the number of the file in its job.
    """
    import pyarrow as pa

    probabilities = pa.struct([(label, pa.float64()) for label in labels])
    say = pa.struct(
        [
            ("present", pa.bool_()),
            ("weight", pa.float64()),
            ("probabilities", probabilities),
            ("used", pa.bool_()),
        ]
    )
    return pa.schema(
        [
            ("source", pa.string()),
            ("start_s", pa.float64()),
            ("end_s", pa.float64()),
            ("segments", pa.int64()),
            ("audio_segments", pa.int64()),
            ("face_segments", pa.int64()),
            ("text", pa.string()),
            ("probabilities", probabilities),
            ("decision", pa.list_(pa.string())),
            ("top", pa.string()),
            ("modalities", pa.struct([(name, say) for name in MODALITIES])),
            ("timings_ms", pa.struct([(stage, pa.float64()) for stage in STAGES])),
            ("engine", pa.string()),
            ("notes", pa.list_(pa.string())),
            ("model", pa.struct([("name", pa.string()), ("notice", pa.string())])),
            ("task", pa.string()),
            ("confidence", pa.float64()),
            ("uncertain", pa.bool_()),
            ("min_confidence", pa.float64()),
            ("thresholds", probabilities),
            ("schema_version", pa.int64()),
            ("error", pa.string()),
            *([("file", pa.int64())] if file else []),
        ]
    )
