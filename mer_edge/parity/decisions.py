"""What becomes of the decisions: probabilities against probabilities.

Independent labels are a decision each; of exclusive labels a clip has one, its most probable label.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_edge.decision import DecisionRule
from mer_edge.parity.limits import Limits
from mer_edge.parity.record import DecisionParity

REAL, RANDOM, GOLDEN = "real", "random", "golden"
"""See ``DecisionParity.source``."""


def pooled_decisions(
    part: str,
    source: str,
    logits: Sequence[tuple[str, NDArray[Any], NDArray[Any]]],
    rule: DecisionRule,
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
    return compare_decisions(part, source, names, both, rule, limits)


def compare_decisions(
    part: str,
    source: str,
    names: list[str],
    logits: tuple[NDArray[np.floating], NDArray[np.floating]],
    rule: DecisionRule,
    limits: Limits,
) -> DecisionParity:
    """Whether a network and its graphs decide alike.

    Of random clips only those decisions count whose reference is farther from deciding otherwise
    than its probabilities may change: what is closer may fall on either side within the limits, and
    a network that has learned nothing has everything there. Of real clips all count.

    Args:
        names: per clip, for the report.
        logits: reference and found, finite, shape = (clips, labels) each.
    """
    reference, actual = (rule.probabilities(side) for side in logits)
    change = np.abs(actual - reference)
    same = same_decisions(reference, actual, rule)
    counts = np.ones_like(same) if source == REAL else _sure(reference, rule, limits)
    rows = counts.any(1)
    agreement = float(same[counts].mean()) if counts.any() else None
    clip, label = np.unravel_index(int(change.argmax()), change.shape)
    return DecisionParity(
        part=part,
        source=source,
        clips=len(names),
        decisions=int(counts.sum()),
        agreement=agreement,
        clip_agreement=float(np.all(same | ~counts, axis=1)[rows].mean()) if rows.any() else None,
        max_probability_change=float(change.max()),
        mean_probability_change=float(change.mean()),
        worst=f"{names[clip]}, label {label}",
        share_of_limit=_share(
            limits,
            agreement,
            float(change.max()),
            float(change.mean()),
            least_share=1 / max(1, int(counts.sum())) if rule.task == "multiclass" else 0.0,
        ),
    )


def same_decisions(
    reference: NDArray[np.float64], actual: NDArray[np.float64], rule: DecisionRule
) -> NDArray[np.bool_]:
    """Which decisions are the same, of probabilities (clips, labels).

    Returns:
        shape = (clips, labels) of independent labels, (clips, 1) of exclusive ones.
    """
    same: NDArray[np.bool_] = rule.decide(reference) == rule.decide(actual)
    if rule.task == "multiclass":
        same = np.all(same, axis=1, keepdims=True)
    return same


def _sure(reference: NDArray[np.float64], rule: DecisionRule, limits: Limits) -> NDArray[np.bool_]:
    """Which decisions what is allowed cannot turn; shaped as by ``same_decisions``."""
    most, mean = limits.max_probability_change, limits.mean_probability_change
    if rule.task == "multilabel":
        distance = np.abs(reference - np.asarray(rule.thresholds))
        far: NDArray[np.bool_] = distance > (most or mean or 0.0)
        return far
    # One label may fall and the next one rise: by so much each, or of a limited mean over the
    # labels by so much together. A probability moves less than its logit.
    margin = reference.shape[1] * mean if mean else 2 * (most or limits.absolute or 0.0)
    ordered = np.sort(reference, axis=1)
    ahead: NDArray[np.bool_] = (ordered[:, -1:] - ordered[:, -2:-1]) > margin
    return ahead


def _share(
    limits: Limits, agreement: float | None, most: float, mean: float, least_share: float
) -> float:
    """How much is used up of the limit that is nearest; above 1 if one is passed.

    Args:
        least_share: of the decisions that one is, where there is but one a clip: so many may be
            lost even of few clips where no limit keeps a single probability in its place.
    """
    lost = 0.0 if agreement is None else 1 - agreement
    allowed = 1 - limits.agreement
    if limits.max_probability_change is None and limits.absolute is None:
        allowed = max(allowed, least_share)
    shares = [lost / allowed]
    if limits.max_probability_change is not None:
        shares.append(most / limits.max_probability_change)
    if limits.mean_probability_change is not None:
        shares.append(mean / limits.mean_probability_change)
    return max(shares)
