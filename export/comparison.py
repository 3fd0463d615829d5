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
    """Infinite when either side has a value that is not finite."""
    mean_abs: float
    quantile_999_abs: float
    """99.9 % of the differences are at most this."""
    index: tuple[int, ...]
    """Where the largest difference is, or the first value that is not finite."""
    finite: bool
    reference_max_abs: float
    """The reference's largest magnitude, to judge the difference by."""

    def within(self, tolerance: float) -> bool:
        """Whether every value is finite and no difference is larger than ``tolerance``."""
        return self.finite and self.max_abs <= tolerance

    def __str__(self) -> str:
        if not self.finite:
            return f"{self.name}{list(self.index)} is not finite"
        return (
            f"{self.name}: max {self.max_abs:.3g} at {list(self.index)}, mean {self.mean_abs:.3g}, "
            f"99.9 % {self.quantile_999_abs:.3g} (values up to {self.reference_max_abs:.3g})"
        )


def compare(name: str, reference: NDArray[Any], actual: NDArray[Any]) -> Comparison:
    """Compare ``actual`` with ``reference``, in float64.

    Raises:
        ValueError: the shapes differ; that is a fault in the graphs' signature, not in a value.
    """
    if reference.shape != actual.shape:
        raise ValueError(f"{name} has shape {actual.shape}; expected {reference.shape}")
    if reference.size == 0:
        return Comparison(name, 0.0, 0.0, 0.0, (), True, 0.0)
    wide_reference, wide_actual = reference.astype(np.float64), actual.astype(np.float64)
    bad = ~(np.isfinite(wide_reference) & np.isfinite(wide_actual))
    if bad.any():
        inf = float("inf")
        return Comparison(name, inf, inf, inf, _index(bad), False, inf)
    difference = np.abs(wide_actual - wide_reference)
    return Comparison(
        name=name,
        max_abs=float(difference.max()),
        mean_abs=float(difference.mean()),
        quantile_999_abs=float(np.quantile(difference, 0.999)),
        index=_index(difference),
        finite=True,
        reference_max_abs=float(np.abs(wide_reference).max()),
    )


def _index(values: NDArray[np.generic]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(values.argmax()), values.shape))
