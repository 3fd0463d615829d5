"""What the readers of published data sets share."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from mer_edge.errors import MerEdgeError
from train.datasets.registry import DatasetOptions

_LFS_POINTER = b"version https://git-lfs"
_NAMED = 3
"""How many of many a note names."""


def refuse_options(
    options: DatasetOptions, *, split_by: str | None = None, frame_rate: str | None = None
) -> None:
    """Refuse an option that the data set has no use for; each reason says why there is none.

    Raises:
        MerEdgeError: an option with a reason against it is given.
    """
    given = (
        ("--split-by", bool(options.split_by), split_by),
        ("--frame-rate", options.frame_rate_hz is not None, frame_rate),
    )
    for option, present, reason in given:
        if present and reason is not None:
            raise MerEdgeError(f"found {option} for {options.name}, {reason}; leave it out")


def split_choice(options: DatasetOptions, choices: Sequence[str]) -> str:
    """How to split: what ``options`` ask for, or the first of ``choices``.

    Raises:
        MerEdgeError: it is none of them.
    """
    if options.split_by and options.split_by not in choices:
        raise MerEdgeError(
            f"found --split-by {options.split_by} for {options.name}; expected one of "
            f"{', '.join(choices)}"
        )
    return options.split_by or choices[0]


def subfolders(path: Path, depth: int) -> Iterator[Path]:
    """``path`` and the folders in it, the nearest first, sorted, without hidden ones.

    Raises:
        MerEdgeError: ``path`` is not a folder, or one may not be read.
    """
    if not path.is_dir():
        found = "a file" if path.exists() else "nothing"
        raise MerEdgeError(
            f"{path}: found {found}; expected the folder of a data set; name the folder that it "
            "was unpacked to"
        )
    level = [path]
    for left in range(depth, -1, -1):
        yield from level
        if left:
            level = [inner for folder in level for inner in _folders(folder)]


def find_below(path: Path, name: str, depth: int) -> Path | None:
    """The file or folder of that name nearest to ``path``, at most ``depth`` folders down."""
    return next(
        (folder / name for folder in subfolders(path, depth) if (folder / name).exists()), None
    )


def files_below(path: Path, depth: int) -> Iterator[Path]:
    """The files of :func:`subfolders`, in its order, by name in each, without hidden ones."""
    for folder in subfolders(path, depth):
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_file())
        yield from (folder / name for name in names if name[0] != ".")


def refuse_lfs_pointer(path: Path) -> None:
    """Refuse a file that only says where its content is.

    Raises:
        MerEdgeError: it is a pointer of Git LFS.
    """
    with path.open("rb") as file:
        if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise MerEdgeError(
                f"{path}: found a pointer of Git LFS; expected the clip itself; run git lfs pull "
                "where you cloned the data set"
            )


def some_of(names: Sequence[str]) -> str:
    """The first few of many names, for a note."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(
            entry for entry in folder.iterdir() if entry.is_dir() and entry.name[:1] != "."
        )
    except OSError as error:
        raise MerEdgeError(f"{folder}: cannot read the folder: {error.strerror}") from error
