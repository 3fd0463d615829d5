"""How far two tensors are apart: a result object instead of a bare assertion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Comparison:
    """A tensor against its reference; the differences are absolute."""

    name: str
    """The tensor's name, for example ``logits``."""
    max_abs: float
    """Infinite when either side has a value that is not finite, or the shapes differ."""
    mean_abs: float
    quantile_999_abs: float
    """99.9 % of the differences are at most this."""
    index: tuple[int, ...]
    """Where the largest difference is, or the first value that is not finite."""
    finite: bool
    reference_max_abs: float
    """The reference's largest magnitude, to judge the difference by."""
    cosine: float = 1.0
    """Of the two tensors as vectors, in [-1, 1]; 1 for two of zeros, 0 for one of zeros."""
    shapes: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    """Reference and found, where they differ."""

    def within(self, tolerance: float) -> bool:
        """Whether every value is finite and no difference is larger than ``tolerance``."""
        return self.finite and self.max_abs <= tolerance

    def __str__(self) -> str:
        if self.shapes is not None:
            return f"{self.name} has the shape {self.shapes[1]}, expected {self.shapes[0]}"
        if not self.finite:
            return f"{self.name}{list(self.index)} is not finite"
        return (
            f"{self.name}: max {self.max_abs:.3g} at {list(self.index)}, mean {self.mean_abs:.3g}, "
            f"99.9 % {self.quantile_999_abs:.3g}, cosine {self.cosine:.6g} "
            f"(values up to {self.reference_max_abs:.3g})"
        )


def compare(name: str, reference: NDArray[Any], actual: NDArray[Any]) -> Comparison:
    """Compare ``actual`` with ``reference``, in float64.

    Another shape is a difference like another value: an infinite one.
    """
    if reference.shape != actual.shape:
        return _endless(name, (), (reference.shape, actual.shape))
    if reference.size == 0:
        return Comparison(name, 0.0, 0.0, 0.0, (), True, 0.0)
    wide_reference, wide_actual = reference.astype(np.float64), actual.astype(np.float64)
    bad = ~(np.isfinite(wide_reference) & np.isfinite(wide_actual))
    if bad.any():
        return _endless(name, _index(bad))
    difference = np.abs(wide_actual - wide_reference)
    return Comparison(
        name=name,
        max_abs=float(difference.max()),
        mean_abs=float(difference.mean()),
        quantile_999_abs=float(np.quantile(difference, 0.999)),
        index=_index(difference),
        finite=True,
        reference_max_abs=float(np.abs(wide_reference).max()),
        cosine=cosine(wide_reference, wide_actual),
    )


def _endless(
    name: str,
    index: tuple[int, ...],
    shapes: tuple[tuple[int, ...], tuple[int, ...]] | None = None,
) -> Comparison:
    inf = float("inf")
    return Comparison(name, inf, inf, inf, index, False, inf, 0.0, shapes)


def cosine(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """The cosine of two tensors as vectors; finite values only."""
    largest = [float(np.abs(side).max(initial=0.0)) for side in (first, second)]
    if 0.0 in largest:
        return 1.0 if largest[0] == largest[1] else 0.0
    # Scaled first: squares of tiny or huge values leave the range of float64.
    a, b = (side.ravel() / scale for side, scale in zip((first, second), largest, strict=True))
    product = float(a @ b) / float(np.sqrt((a @ a) * (b @ b)))
    return max(-1.0, min(1.0, product))


def _index(values: NDArray[np.generic]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(values.argmax()), values.shape))
