"""All that was measured side by side, held against the limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mer_edge.bundle import MAPS
from mer_edge.parity.comparison import Comparison
from mer_edge.parity.limits import LIMITS, Limits, loosest
from mer_edge.parity.record import DecisionParity, Parity, TensorParity

PARTS = ("modules", "text", "audio", "visual_stem", "visual", "fusion", "chain")
"""In the order in which a difference arises: see ``TensorParity.part``."""
FEATURES = ("text", "tokens", "audio", "visual_map", "visual")
"""Outputs whose magnitude nothing bounds."""
MAP_ALLOWANCE = 5
"""How much more a map between the halves of an encoder may leave its original in direction than
features may: nothing has averaged its values yet. Eight bits calibrated on faces saturate on the
noise of random clips: cosine 0.93 in a map whose features, and decisions, were within limits."""


@dataclass(frozen=True)
class Measured:
    """One tensor of one part in one case."""

    part: str
    case: str
    comparison: Comparison
    precision: str

    @property
    def limits(self) -> Limits:
        return LIMITS[self.precision]

    @property
    def share_of_limit(self) -> float | None:
        """How much of what is allowed is used up, above 1 if it fails; None if it is not limited.

        What is not finite, or has another shape, uses up infinitely much in every precision.
        """
        found, limits = self.comparison, self.limits
        if not found.finite:
            return float("inf")
        is_feature = found.name in FEATURES
        if limits.absolute is not None:
            scale = max(1.0, found.reference_max_abs) if is_feature else 1.0
            return found.max_abs / (limits.absolute * scale)
        if is_feature and limits.cosine is not None:
            allowance = MAP_ALLOWANCE if found.name in MAPS.values() else 1
            return (1 - found.cosine) / (1 - limits.cosine) / allowance
        if found.name == "weights" and limits.mean_weight_change is not None:
            return found.mean_abs / limits.mean_weight_change
        return None

    def __str__(self) -> str:
        where = {
            "chain": "the whole chain",
            "modules": "the modules the graphs were traced from",
        }.get(self.part, f"the {self.part} graph alone")
        return f"{where} ({self.precision}), {self.comparison}, {self.case}"


@dataclass(frozen=True)
class ParityReport:
    """Every part on every case and clip; at least one of them."""

    precisions: Mapping[str, str]
    """Of each graph."""
    measured: Sequence[Measured]
    decisions: Sequence[DecisionParity]
    cases: int
    """Random batches."""
    real_clips: int
    shapes: Sequence[str] = ()
    """See ``Parity.shapes``."""

    @property
    def precision(self) -> str:
        """Whose limits hold for the chain."""
        return loosest(self.precisions.values())

    @property
    def everything(self) -> list[Measured | DecisionParity]:
        return [*self.measured, *self.decisions]

    @property
    def passed(self) -> bool:
        return not self.failures

    @property
    def failures(self) -> list[Measured | DecisionParity]:
        """What is beyond its limit, in the order in which a difference arises; of every part what
        is farthest beyond it first."""
        failed = [one for one in self.everything if (one.share_of_limit or 0) > 1]
        return sorted(failed, key=lambda x: (PARTS.index(x.part), -(x.share_of_limit or 0)))

    @property
    def worst(self) -> Measured | DecisionParity:
        """What comes nearest to its limit, or is farthest beyond it."""
        return max(self.everything, key=lambda x: x.share_of_limit or 0)

    @property
    def max_abs_logit_difference(self) -> float:
        """Between the chain and the reference; infinite where the chain did not run."""
        found = [
            one.comparison.max_abs
            for one in self.measured
            if one.part == "chain" and one.comparison.name == "logits"
        ]
        return max(found, default=float("inf"))

    def worst_of_each(self) -> list[Measured]:
        """Per part and tensor the case that comes nearest to the limit, by part."""
        found: dict[tuple[str, str], Measured] = {}
        for one in self.measured:
            key = (one.part, one.comparison.name)
            if key not in found or _rank(one) > _rank(found[key]):
                found[key] = one
        return sorted(found.values(), key=lambda one: PARTS.index(one.part))

    def to_parity(self) -> Parity:
        """What the manifest says of it."""
        used = sorted({*self.precisions.values()}, key=list(LIMITS).index)
        return Parity(
            max_abs_logit_difference=self.max_abs_logit_difference,
            tolerance=LIMITS[self.precision].absolute,
            cases=self.cases,
            precision=self.precision,
            limits={name: LIMITS[name] for name in used},
            tensors=[_record(one) for one in self.worst_of_each()],
            decisions=list(self.decisions),
            real_clips=self.real_clips,
            worst=describe(self.worst),
            shapes=list(self.shapes),
        )


def describe(one: Measured | DecisionParity) -> str:
    """One line on what was measured."""
    if isinstance(one, Measured):
        return str(one)
    agreement = "" if one.agreement is None else f", {one.agreement:.2%} of decisions agree"
    return (
        f"the decisions of the {one.part} on {one.clips} {one.source} clips: probabilities change "
        f"by at most {one.max_probability_change:.3g} ({one.worst}), "
        f"{one.mean_probability_change:.3g} in the mean{agreement}"
    )


def _rank(one: Measured) -> tuple[float, float]:
    return (one.share_of_limit or 0.0, one.comparison.max_abs)


def _record(one: Measured) -> TensorParity:
    found = one.comparison
    return TensorParity(
        part=one.part,
        tensor=found.name,
        precision=one.precision,
        case=one.case,
        max_abs=found.max_abs,
        mean_abs=found.mean_abs,
        quantile_999_abs=found.quantile_999_abs,
        index=list(found.index),
        cosine=found.cosine,
        reference_max_abs=found.reference_max_abs,
        share_of_limit=one.share_of_limit,
    )
