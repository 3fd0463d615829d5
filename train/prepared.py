"""Prepared clips on disk: Parquet files of many clips, each a row and a row group of its own.

Sound is kept as the 16 kHz signal that the segments were cut from (they overlap by 240 samples),
faces as PNG. Columns: ``key`` (text), ``waveform`` (list of float32), ``audio_present`` and
``crops_present`` (lists of bool, segment by segment), ``crops`` (list of PNG files, those that are
present). The footer holds all keys, so that a store is known by its footers alone.

Against one safetensors file a clip (clips of 1 to 5 segments with 3 crops each, in random order):
638 kB a clip instead of 674, and one file for about 50 clips. To read one takes 0.7 ms of CPU
instead of 0.2; with the 3.4 ms that decoding a crop a segment takes, 1.1 times as long. The file
is read and not mapped: a disk that fails is then an error, and not the end of the process.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mer_edge.errors import MerEdgeError
from mer_edge.files import new_file
from mer_edge.media.segmenting import segment_waveform
from mer_edge.segments import SEGMENT_HOP_SAMPLES
from train.stored_clip import StoredClip, text_alone

KEYS = b"mer_edge_keys"
"""The footer's entry with the keys of all rows, as a JSON list."""
CLIPS_KEPT = (
    "the clips prepared before are kept; free some space and run the command again, or name "
    "another folder with --cache"
)
"""Where the disk of the store is full."""
MOST_OPEN_FILES = 256
"""Of this process: more are closed, those first that were not used for longest."""


@dataclass(frozen=True)
class ClipRef:
    """Where a prepared clip is."""

    file: Path
    row: int


def write_shard(file: Path, clips: Sequence[tuple[str, StoredClip]]) -> None:
    """Write clips and their keys to ``file``, all or none; row i is ``clips[i]``.

    Raises:
        MerEdgeError: the disk says no.
    """
    schema = _schema([key for key, _ in clips])
    with (
        new_file(file, "preparing clips", advice=CLIPS_KEPT) as temporary,
        pq.ParquetWriter(
            temporary,
            schema,
            use_dictionary=False,
            write_statistics=False,
            # What PNG has packed does not pack again.
            compression={"waveform.list.element": "zstd", "crops.list.element": "none"},
            use_byte_stream_split=["waveform.list.element"],
        ) as writer,
    ):
        for key, clip in clips:
            writer.write_table(_row(key, clip, schema))


def read_keys(file: Path) -> list[str]:
    """The keys of a file's rows, in their order.

    Raises:
        MerEdgeError: the file is damaged, gone, or not of :func:`write_shard`.
    """
    with _told(file):
        keys: list[str] = json.loads(pq.read_schema(file).metadata[KEYS])
        return keys


def read_clip(ref: ClipRef | None) -> StoredClip:
    """Read what :func:`write_shard` wrote; from any thread. None: text alone, never written.

    Raises:
        MerEdgeError: the file is damaged or gone.
    """
    if ref is None:
        return text_alone()
    with _told(ref.file), _READERS.lent(ref.file) as reader:
        return _clip(reader.read_row_group(ref.row, use_threads=False))


@contextmanager
def _told(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException, IndexError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise MerEdgeError(
            f"{file}: the prepared clips cannot be read ({reason}); remove the file and run "
            "mer-edge prepare again"
        ) from error


@cache
def _columns() -> list[Any]:
    flags = pa.list_(pa.field("element", pa.bool_(), nullable=False))
    return [
        pa.field("key", pa.string(), nullable=False),
        pa.field("waveform", pa.list_(pa.field("element", pa.float32(), nullable=False)), False),
        pa.field("audio_present", flags, nullable=False),
        pa.field("crops_present", flags, nullable=False),
        pa.field("crops", pa.list_(pa.field("element", pa.binary(), nullable=False)), False),
    ]


def _schema(keys: Sequence[str]) -> Any:
    return pa.schema(_columns(), metadata={KEYS: json.dumps(keys).encode()})


def _row(key: str, clip: StoredClip, schema: Any) -> Any:
    present = clip.crops_present.ravel()
    ends = clip.png_ends.ravel()[present]
    starts = np.concatenate([np.zeros(1, np.int64), ends])[: len(ends)]
    crops = [clip.png[a:b].tobytes() for a, b in zip(starts, ends, strict=True)]
    values = (key, contiguous(clip.waveform), clip.audio_present, present, crops)
    return pa.table(
        [pa.array([value], field.type) for value, field in zip(values, schema, strict=True)],
        schema=schema,
    )


def contiguous(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """The signal that overlapping segments (S, 15600) were cut from: (15360 S + 240,).

    Raises:
        ValueError: they do not overlap.
    """
    signal = np.concatenate(
        [waveform[:, :SEGMENT_HOP_SAMPLES].ravel(), waveform[-1, SEGMENT_HOP_SAMPLES:]]
    )
    if not np.array_equal(_bits(segment_waveform(signal, len(waveform))), _bits(waveform)):
        raise ValueError("the segments of the waveform do not overlap")
    return signal


def _bits(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    return np.ascontiguousarray(values).view(np.uint32)


def _clip(row: Any) -> StoredClip:
    # A row group is one row, so that a column's only chunk is the row's.
    column = {name: row.column(name).chunk(0) for name in row.column_names[1:]}
    flags = {
        name: column[name].values.to_numpy(zero_copy_only=False)
        for name in ("audio_present", "crops_present")
    }
    segments = len(flags["audio_present"])
    crops = column["crops"].values
    _, offset_bytes, data = crops.buffers()
    offsets = np.frombuffer(offset_bytes, np.int32)[crops.offset : crops.offset + len(crops) + 1]
    png = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    sizes = np.zeros(len(flags["crops_present"]), np.int64)
    sizes[flags["crops_present"]] = np.diff(offsets)
    return StoredClip(
        waveform=segment_waveform(column["waveform"].values.to_numpy(), segments),
        audio_present=flags["audio_present"],
        crops_present=flags["crops_present"].reshape(segments, -1),
        png=png[offsets[0] :] if len(crops) else png[:0],
        png_ends=sizes.cumsum().reshape(segments, -1),
    )


class _Readers:
    """Open Parquet files, each lent to one thread at a time: a reader is not thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: OrderedDict[Path, list[Any]] = OrderedDict()
        self._count = 0

    @contextmanager
    def lent(self, file: Path) -> Iterator[Any]:
        reader = self._take(file) or pq.ParquetFile(file)
        try:
            yield reader
        except BaseException:
            reader.close(force=True)
            raise
        for unused in self._give_back(file, reader):
            unused.close(force=True)

    def _take(self, file: Path) -> Any:
        with self._lock:
            idle = self._idle.get(file)
            if not idle:
                return None
            self._count -= 1
            return idle.pop()

    def _give_back(self, file: Path, reader: Any) -> list[Any]:
        """Keep a reader; returns those that are too many."""
        with self._lock:
            self._idle.setdefault(file, []).append(reader)
            self._idle.move_to_end(file)
            self._count += 1
            if self._count <= MOST_OPEN_FILES:
                return []
            _, unused = self._idle.popitem(last=False)
            self._count -= len(unused)
            return unused


_READERS = _Readers()
