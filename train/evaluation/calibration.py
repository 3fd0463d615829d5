"""Whether a probability of 0.7 means right in 7 of 10 cases, and a temperature that mends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True)
class TemperatureScaling:
    """One temperature for all logits (Guo et al. 2017), fitted on the validation split."""

    temperature: float
    """Logits are divided by it; above 1 the model was too certain."""
    valid_clips: int
    before: Reliability
    """On the evaluated split, all labels together."""
    after: Reliability


def calibration(
    probabilities: NDArray[np.float64], targets: NDArray[np.bool_], labels: Sequence[str]
) -> Calibration:
    """Reliability of probabilities against the truth, both of shape (clips, labels)."""
    return Calibration(
        overall=reliability(probabilities.ravel(), targets.ravel()),
        labels={
            label: reliability(probabilities[:, i], targets[:, i]) for i, label in enumerate(labels)
        },
    )


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


def fit_temperature(probabilities: NDArray[np.float64], targets: NDArray[np.bool_]) -> float:
    """The temperature, within ``TEMPERATURE_RANGE``, with the lowest negative log-likelihood.

    Raises:
        MerEdgeError: there is no clip.
    """
    if targets.size == 0:
        raise MerEdgeError(
            "no clip of the split 'valid'; expected some to fit the temperature on; "
            "leave --temperature out"
        )
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(scale(probabilities, np.exp(log_temperature)), targets)

    low, high = np.log(TEMPERATURE_RANGE)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def scale(probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """The probabilities after their logits were divided by ``temperature``; 0.5 stays 0.5."""
    from scipy.special import expit, logit

    kept = np.clip(probabilities, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    scaled: NDArray[np.float64] = expit(logit(kept) / temperature)
    return scaled


def temperature_scaling(
    valid: tuple[NDArray[np.float64], NDArray[np.bool_]],
    evaluated: tuple[NDArray[np.float64], NDArray[np.bool_]],
) -> TemperatureScaling:
    """Fit on the one split, report the other; each is probabilities and truth (clips, labels)."""
    temperature = fit_temperature(*valid)
    probabilities, targets = evaluated
    return TemperatureScaling(
        temperature=temperature,
        valid_clips=len(valid[0]),
        before=reliability(probabilities.ravel(), targets.ravel()),
        after=reliability(scale(probabilities, temperature).ravel(), targets.ravel()),
    )
