"""How sure a decision may be: the temperature of logits, and how far confidence is from the truth.

Guo et al. 2017, "On Calibration of Modern Neural Networks".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

BINS = 10


def fit_temperature(logits: NDArray[np.float64], truth: NDArray[np.generic]) -> float:
    """The T of softmax(logits / T) with the least cross-entropy to the truth, 0.2 to 5.

    Args:
        logits: shape = (items, labels).
        truth: classes (items,), or shares of the labels that add up to 1 (items, labels).
    """
    shares = truth if truth.ndim == 2 else np.eye(logits.shape[1])[truth.astype(np.int64)]

    def loss(log_t: float) -> float:
        return float(-(shares * log_softmax(logits / np.exp(log_t), axis=1)).sum(1).mean())

    found = minimize_scalar(loss, bounds=(np.log(0.2), np.log(5.0)), method="bounded")
    return float(np.exp(found.x))


def calibration_error(truth: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """Expected calibration error: |confidence - accuracy| over ``BINS`` bins of equal width.

    Args:
        truth: classes (items,).
        probabilities: shape = (items, labels).
    """
    confidence, right = probabilities.max(1), probabilities.argmax(1) == truth
    bin_of = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [
        abs(confidence[bin_of == b].mean() - right[bin_of == b].mean()) * (bin_of == b).mean()
        for b in np.unique(bin_of)
    ]
    return float(np.sum(gaps))
