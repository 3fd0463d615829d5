"""Whether a probability of 0.7 means right in 7 of 10 cases, and a temperature that mends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_edge.decision import Task, probabilities_of
from mer_edge.errors import MerEdgeError

BINS = 10
"""Of equal width over [0, 1]; the last one includes 1."""
LEAST_PROBABILITY = 1e-12
"""Probabilities are kept this far from 0 and 1, so that a certain mistake costs a finite loss."""
TEMPERATURE_RANGE = (0.05, 20.0)


@dataclass(frozen=True)
class ReliabilityBin:
    """The clips whose probability lies in [low, high)."""

    low: float
    high: float
    clips: int
    """Clips, or pairs of clip and label where all labels are taken together."""
    mean_probability: float | None
    """None in an empty bin, like the share."""
    positive_share: float | None


@dataclass(frozen=True)
class Reliability:
    """Calibration of one label, or of all taken together."""

    expected_calibration_error: float
    """Mean of |mean probability - share of positives| over the bins, weighted by their clips."""
    brier: float
    """Mean squared difference of probability and truth."""
    negative_log_likelihood: float
    """Mean binary cross-entropy, in nats."""
    bins: list[ReliabilityBin]


@dataclass(frozen=True)
class Calibration:
    """Of all pairs of clip and label taken together, and of each label."""

    overall: Reliability
    labels: dict[str, Reliability]
    decision: Reliability | None = None
    """Of exclusive labels: the probability of the most probable one, and whether it is right."""


@dataclass(frozen=True)
class TemperatureScaling:
    """One temperature for all logits (Guo et al. 2017), fitted on the validation split."""

    temperature: float
    """Logits are divided by it; above 1 the model was too certain."""
    valid_clips: int
    before: Reliability
    """On the evaluated split: all labels together; of exclusive labels the decision."""
    after: Reliability


def calibration(
    probabilities: NDArray[np.float64],
    targets: NDArray[np.bool_],
    labels: Sequence[str],
    task: Task = "multilabel",
) -> Calibration:
    """Reliability of probabilities against the truth, both of shape (clips, labels)."""
    exclusive = task == "multiclass" and bool((targets.sum(1) == 1).all())
    return Calibration(
        decision=decision_reliability(probabilities, targets) if exclusive else None,
        overall=reliability(probabilities.ravel(), targets.ravel()),
        labels={
            label: reliability(probabilities[:, i], targets[:, i]) for i, label in enumerate(labels)
        },
    )


def decision_reliability(
    probabilities: NDArray[np.float64], targets: NDArray[np.bool_]
) -> Reliability:
    """Of the most probable label against its being right, (clips, labels), one label a clip."""
    return reliability(probabilities.max(1), probabilities.argmax(1) == targets.argmax(1))


def reliability(probabilities: NDArray[np.float64], targets: NDArray[np.bool_]) -> Reliability:
    """Of n probabilities and whether each came true; both of shape (n,), n at least 1."""
    edges = np.linspace(0, 1, BINS + 1)
    place = np.clip(np.digitize(probabilities, edges) - 1, 0, BINS - 1)
    clips = np.bincount(place, minlength=BINS)
    filled = np.maximum(clips, 1)
    means = np.bincount(place, probabilities, BINS) / filled
    shares = np.bincount(place, targets.astype(np.float64), BINS) / filled
    bins = [
        ReliabilityBin(
            low=float(edges[i]),
            high=float(edges[i + 1]),
            clips=int(clips[i]),
            mean_probability=float(means[i]) if clips[i] else None,
            positive_share=float(shares[i]) if clips[i] else None,
        )
        for i in range(BINS)
    ]
    return Reliability(
        expected_calibration_error=float(np.sum(clips * np.abs(means - shares)) / clips.sum()),
        brier=float(np.mean((probabilities - targets) ** 2)),
        negative_log_likelihood=negative_log_likelihood(probabilities, targets),
        bins=bins,
    )


def negative_log_likelihood(
    probabilities: NDArray[np.float64], targets: NDArray[np.bool_]
) -> float:
    """Mean binary cross-entropy in nats; arrays of one shape."""
    kept = np.clip(probabilities, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return float(-np.mean(np.log(np.where(targets, kept, 1 - kept))))


def fit_temperature(
    probabilities: NDArray[np.float64], targets: NDArray[np.bool_], task: Task = "multilabel"
) -> float:
    """The temperature, within ``TEMPERATURE_RANGE``, with the lowest negative log-likelihood.

    Of exclusive labels by the clips that have exactly one.

    Raises:
        MerEdgeError: there is no clip.
    """
    if task == "multiclass":
        one = targets.sum(axis=1) == 1
        probabilities, targets = probabilities[one], targets[one]
    if targets.size == 0:
        raise MerEdgeError(
            "no clip of the split 'valid'; expected some to fit the temperature on; "
            "leave --temperature out"
        )
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        scaled = scale(probabilities, np.exp(log_temperature), task)
        if task == "multiclass":
            return float(-np.log(np.maximum(scaled[targets], LEAST_PROBABILITY)).mean())
        return negative_log_likelihood(scaled, targets)

    low, high = np.log(TEMPERATURE_RANGE)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def scale(
    probabilities: NDArray[np.float64], temperature: float, task: Task = "multilabel"
) -> NDArray[np.float64]:
    """The probabilities after their logits were divided by ``temperature``.

    Of independent labels 0.5 stays 0.5; of exclusive ones, (..., labels), the most probable stays.
    """
    from scipy.special import logit

    kept = np.clip(probabilities, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    # Of a softmax the logarithms are logits, less one number a clip that changes nothing.
    logits = logit(kept) if task == "multilabel" else np.log(kept)
    return probabilities_of(logits, task, temperature)


def temperature_scaling(
    valid: tuple[NDArray[np.float64], NDArray[np.bool_]],
    evaluated: tuple[NDArray[np.float64], NDArray[np.bool_]],
    task: Task = "multilabel",
) -> TemperatureScaling:
    """Fit on the one split, report the other; each is probabilities and truth (clips, labels)."""
    temperature = fit_temperature(*valid, task)
    probabilities, targets = evaluated
    exclusive = task == "multiclass" and bool((targets.sum(1) == 1).all())

    def reliability_of(found: NDArray[np.float64]) -> Reliability:
        if exclusive:
            return decision_reliability(found, targets)
        return reliability(found.ravel(), targets.ravel())

    return TemperatureScaling(
        temperature=temperature,
        valid_clips=len(valid[0]),
        before=reliability_of(probabilities),
        after=reliability_of(scale(probabilities, temperature, task)),
    )
