"""Where the values of an array lie in memory, and which contiguous runs a copy of rows takes.

Arrays are row-major. One may lie in a larger ``box``: a batch of 3 in memory for 4, a text of 30
tokens in memory for 32. Then its rows are not next to each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Run:
    """Values that lie next to each other in the source as in the target."""

    source: int
    target: int
    count: int
    within_target: bool = False
    """The source is the target too: rows that were copied before are repeated."""

    def scaled(self, factor: int) -> Run:
        """Of rows: in values, ``factor`` a row."""
        return Run(
            self.source * factor, self.target * factor, self.count * factor, self.within_target
        )


def box_runs(shape: Shape, source: Shape, target: Shape) -> list[Run]:
    """The runs, in values, that copy an array from one box into another.

    Args:
        shape: of the array.
        source: box it lies in, at the origin; no smaller in any dimension.
        target: likewise.
    """
    if not shape:
        return [Run(0, 0, 1)]
    inner = math.prod(shape[1:])
    steps = [math.prod(box[1:]) for box in (source, target)]
    if steps == [inner, inner]:
        return [Run(0, 0, shape[0] * inner)] if shape[0] * inner else []
    below = box_runs(shape[1:], source[1:], target[1:])
    return [
        Run(row * steps[0] + run.source, row * steps[1] + run.target, run.count)
        for row in range(shape[0])
        for run in below
    ]


def take_runs(rows: NDArray[np.intp]) -> list[Run]:
    """The runs, in rows, of ``array[rows]``.

    Rows in sequence are one run. One row many times is a run of its own that is then doubled within
    the target, so that a clip's text reaches 64 segments with seven copies.
    """
    runs: list[Run] = []
    position = 0
    while position < len(rows):
        row = int(rows[position])
        same = _length(rows, position, 0)
        count = same if same > 1 else _length(rows, position, 1)
        runs.append(Run(row, position, 1 if same > 1 else count))
        if same > 1:
            runs += _doubled(position, same)
        position += count
    return runs


def place_runs(mask: NDArray[np.bool_], width: int) -> Iterator[Run]:
    """The runs, in rows, that lay rows out where a mask is true.

    Args:
        mask: shape = (B, N)
        width: rows of the target for one clip, N or more.
    """
    if mask.shape[1] == width and mask.all():
        yield Run(0, 0, mask.size)
        return
    clips, segments = np.nonzero(mask)
    places = clips * width + segments
    start = 0
    while start < len(places):
        count = _length(places, start, 1)
        yield Run(start, int(places[start]), count)
        start += count


def cut_runs(runs: Sequence[Run], first: int, count: int) -> Iterator[Run]:
    """Of runs over the rows of several parts, joined, what falls to one of them.

    Args:
        first: row that the part begins with.
        count: of its rows.
    """
    for run in runs:
        start, end = max(run.source, first), min(run.source + run.count, first + count)
        if start < end:
            yield Run(start - first, run.target + start - run.source, end - start)


def _length(values: NDArray[np.intp], start: int, step: int) -> int:
    """How many values from ``start`` on go up by ``step`` each."""
    end = start + 1
    while end < len(values) and values[end] == values[end - 1] + step:
        end += 1
    return end - start


def _doubled(first: int, count: int) -> list[Run]:
    runs, done = [], 1
    while done < count:
        more = min(done, count - done)
        runs.append(Run(first, first + done, more, within_target=True))
        done += more
    return runs
