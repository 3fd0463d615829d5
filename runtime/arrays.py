"""Arrays between graphs, wherever an engine keeps them, and the rows the chain moves in them.

The chain takes the outputs of one graph to the next without looking at them. On the CPU they are
NumPy's; an engine with a memory of its own hands out arrays that stay there, with operations that
do the same to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Array(Protocol):
    """What a graph takes and gives: a NumPy array, or one on an engine's device."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...


class ArrayOps(Protocol):
    """What the chain does to arrays between graphs. NumPy arrays are taken by every engine."""

    def take(self, array: Array, rows: NDArray[np.intp]) -> Array:
        """``array[rows]``: the text of each segment's clip.

        Args:
            array: shape = (B, ...)
            rows: shape = (S,)
        """
        ...

    def place(self, parts: Sequence[Array], mask: NDArray[np.bool_]) -> Array:
        """Rows laid out where a mask is true, zeros elsewhere.

        Args:
            parts: together as many rows as ``mask`` has true entries, shapes = (S_i, F), at least
                one part; in the mask's order.
            mask: shape = (B, N)

        Returns:
            shape = (B, N, F)
        """
        ...

    def to_host(self, array: Array) -> NDArray[Any]:
        """The values, once they are there."""
        ...


class HostArrays:
    """NumPy arrays; nothing is copied that need not be."""

    def take(self, array: Array, rows: NDArray[np.intp]) -> NDArray[Any]:
        """See ``ArrayOps``."""
        values = self.to_host(array)
        if len(rows) == len(values) and np.array_equal(rows, np.arange(len(rows))):
            return values
        return values[rows]

    def place(self, parts: Sequence[Array], mask: NDArray[np.bool_]) -> NDArray[Any]:
        """See ``ArrayOps``."""
        rows = [self.to_host(part) for part in parts]
        size = rows[0].shape[1]
        if len(rows) == 1 and mask.all():
            return rows[0].reshape(*mask.shape, size)
        placed = np.zeros((*mask.shape, size), rows[0].dtype)
        placed[mask] = np.concatenate(rows)
        return placed

    def to_host(self, array: Array) -> NDArray[Any]:
        """See ``ArrayOps``."""
        assert isinstance(array, np.ndarray)  # a chain on the CPU has no others
        return array


HOST = HostArrays()
