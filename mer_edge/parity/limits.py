"""How far a graph may leave the network it was made of, by the graph's precision."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What is allowed; None where something is not limited."""

    absolute: float | None
    """The largest difference of logits, of a modality's logits and of weights; of features it is
    multiplied with the reference's largest magnitude where that is above 1."""
    cosine: float | None
    """The least cosine of the features a graph gives."""
    agreement: float
    """The least share of label decisions that stay as they are."""
    max_probability_change: float | None
    mean_probability_change: float | None
    mean_weight_change: float | None
    """Of the weights of the modalities, in [0, 1]. Wider than what a decision may change: it finds
    weights that are swapped or dead, which a decision can survive."""


LIMITS = {
    "fp32": Limits(
        absolute=1e-4,
        cosine=None,
        agreement=0.995,
        max_probability_change=None,
        mean_probability_change=None,
        mean_weight_change=None,
    ),
    "fp16": Limits(
        absolute=None,
        cosine=0.999,
        agreement=0.995,
        max_probability_change=0.02,
        mean_probability_change=None,
        mean_weight_change=0.02,
    ),
    "int8": Limits(
        absolute=None,
        cosine=0.97,
        agreement=0.98,
        max_probability_change=None,
        mean_probability_change=0.015,
        mean_weight_change=0.04,
    ),
}
"""From the tightest to the loosest. The differences of fp32 are those of the order of additions."""


def loosest(precisions: Iterable[str]) -> str:
    """The precision whose limits hold for graphs of these precisions one after the other."""
    order = list(LIMITS)
    return max(precisions, key=order.index)
