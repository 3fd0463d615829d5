"""What becomes of the label decisions: probabilities against probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_edge.parity.limits import Limits
from mer_edge.parity.record import DecisionParity


def probabilities_of(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """1 / (1 + exp(-x)) in double precision, without overflow for large negative x."""
    return np.exp(-np.logaddexp(0.0, -logits.astype(np.float64)))


REAL, RANDOM, GOLDEN = "real", "random", "golden"
"""See ``DecisionParity.source``."""


def pooled_decisions(
    part: str,
    source: str,
    logits: Sequence[tuple[str, NDArray[Any], NDArray[Any]]],
    thresholds: NDArray[np.float64],
    limits: Limits,
) -> DecisionParity | None:
    """The decisions on the clips of several batches together.

    Args:
        logits: per batch its name, the reference's logits and what was found, (clips, labels) each.

    Returns:
        None where no clip has finite logits on both sides: there are no decisions to compare.
    """
    names: list[str] = []
    references, actuals = [], []
    for name, reference, actual in logits:
        finite = np.isfinite(reference).all(1) & np.isfinite(actual).all(1)
        alone = len(finite) == 1
        names += [name if alone else f"{name}, clip {row}" for row in np.flatnonzero(finite)]
        references.append(reference[finite])
        actuals.append(actual[finite])
    if not names:
        return None
    both = (np.concatenate(references), np.concatenate(actuals))
    return compare_decisions(part, source, names, both, thresholds, limits)


def compare_decisions(
    part: str,
    source: str,
    names: list[str],
    logits: tuple[NDArray[np.floating], NDArray[np.floating]],
    thresholds: NDArray[np.float64],
    limits: Limits,
) -> DecisionParity:
    """Decisions are probabilities strictly above their label's threshold.

    Of random clips only those count whose reference is farther from its threshold than its
    probability may change: what is closer may fall on either side within the limits, and a network
    that has learned nothing has everything there. Of real clips all count.

    Args:
        names: per clip, for the report.
        logits: reference and found, finite, shape = (clips, labels) each.
    """
    reference, actual = (probabilities_of(side) for side in logits)
    change = np.abs(actual - reference)
    same = (reference > thresholds) == (actual > thresholds)
    counts = np.ones_like(same)
    if source != REAL:
        margin = limits.max_probability_change or limits.mean_probability_change or 0.0
        counts = np.abs(reference - thresholds) > margin
    rows = counts.any(1)
    agreement = float(same[counts].mean()) if counts.any() else None
    clip, label = np.unravel_index(int(change.argmax()), change.shape)
    return DecisionParity(
        part=part,
        source=source,
        clips=len(names),
        decisions=int(counts.sum()),
        agreement=agreement,
        clip_agreement=float((same | ~counts).all(1)[rows].mean()) if rows.any() else None,
        max_probability_change=float(change.max()),
        mean_probability_change=float(change.mean()),
        worst=f"{names[clip]}, label {label}",
        share_of_limit=_share(limits, agreement, float(change.max()), float(change.mean())),
    )


def _share(limits: Limits, agreement: float | None, most: float, mean: float) -> float:
    """How much is used up of the limit that is nearest; above 1 if one is passed."""
    lost = 0.0 if agreement is None else 1 - agreement
    shares = [lost / (1 - limits.agreement)]
    if limits.max_probability_change is not None:
        shares.append(most / limits.max_probability_change)
    if limits.mean_probability_change is not None:
        shares.append(mean / limits.mean_probability_change)
    return max(shares)
