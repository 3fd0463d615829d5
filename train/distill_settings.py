"""How much a teacher counts; apart from the distillation itself so as to need no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mer_edge.errors import MerEdgeError


@dataclass(frozen=True)
class DistillSettings:
    """How much the teacher counts."""

    logits_weight: float = 0.5
    """Of the loss: 0 listens to the truth alone, 1 to the teacher's logits alone."""
    features_weight: float = 0.5
    """Of the features' distance, added to the loss."""
    temperature: float = 2.0
    """Divides the logits of both, so that small differences count."""

    def __post_init__(self) -> None:
        for name, value, fine, expected in (
            ("logits_weight", self.logits_weight, 0 <= self.logits_weight <= 1, "0 to 1"),
            (
                "features_weight",
                self.features_weight,
                0 <= self.features_weight < math.inf,
                "0 or more",
            ),
            ("temperature", self.temperature, 0 < self.temperature < math.inf, "more than 0"),
        ):
            if not fine:
                raise MerEdgeError(f"distillation: {name} is {value}; expected {expected}")
