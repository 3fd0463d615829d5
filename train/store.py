"""The store of prepared clips: a folder of shards that only grows, one command at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mer_edge.files import check_new_file, disk_errors
from train.prepared import CLIPS_KEPT, ClipRef, read_keys, write_shard
from train.progress import Progress
from train.stored_clip import StoredClip

SHARD_BYTES = 32 * 2**20
"""A shard is written when its clips are as large: some ten seconds to a minute of work, which is
what a kill can cost."""


def usual_store(data: Path) -> Path:
    """Where the prepared clips of a data set are kept unless somebody says otherwise.

    Args:
        data: its folder, or its manifest.
    """
    return (data if data.is_dir() else data.parent) / ".prepared"


def open_store(folder: Path) -> dict[str, ClipRef]:
    """Where the clip of each key is.

    Raises:
        MerEdgeError: a shard is damaged.
    """
    return {
        key: ClipRef(shard, row)
        for shard in sorted(folder.glob("shard-*.parquet"))
        for row, key in enumerate(read_keys(shard))
    }


@contextmanager
def writing(folder: Path, progress: Progress) -> Iterator[None]:
    """Be the only command that adds to the store; what a killed one has left over is removed.

    Raises:
        MerEdgeError: the folder may not be written, or the disk is full.
    """
    check_new_file(folder / "shard", str(folder))
    with disk_errors(folder, "preparing clips", CLIPS_KEPT):
        folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress.note(f"{folder}: another process is preparing clips here; waiting for it.")
        lock.acquire()
    try:
        for leftover in folder.glob(".shard-*"):  # of new_file, whose process was killed
            leftover.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


class ShardWriter:
    """Collects a process's clips and writes them as shards."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clips: list[tuple[str, StoredClip]] = []
        self._bytes = 0

    def add(self, key: str, clip: StoredClip) -> None:
        """Keep a clip; on disk when its shard is full, or with :meth:`flush`."""
        self._clips.append((key, clip))
        self._bytes += clip.png.nbytes + clip.waveform.nbytes
        if self._bytes >= SHARD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the shard in work.

        Raises:
            MerEdgeError: the disk says no.
        """
        clips, self._clips, self._bytes = self._clips, [], 0
        if clips:
            name = hashlib.sha256("".join(key for key, _ in clips).encode()).hexdigest()[:24]
            write_shard(self._folder / f"shard-{name}.parquet", clips)
