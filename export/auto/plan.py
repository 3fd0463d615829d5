"""What a mix of precisions costs and brings, and which of them are worth having."""

from __future__ import annotations

from collections.abc import Sequence

from mer_edge.bundle import PrecisionPlan
from mer_edge.errors import MerEdgeError


def name_of(plan: PrecisionPlan) -> str:
    """``text int8, audio fp32, ...``"""
    return ", ".join(f"{graph} {precision}" for graph, precision in plan.precisions.items())


def parse_budget(text: str) -> float:
    """``0.5%`` or ``0.005`` as a share.

    Raises:
        MerEdgeError: neither, or not in [0, 1].
    """
    number, percent = text.strip().removesuffix("%"), text.strip().endswith("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise MerEdgeError(
            f"--budget {text}: expected the share of decisions that may change, such as 0.5%"
        )
    return share


def choose(plans: Sequence[PrecisionPlan], budget: float) -> PrecisionPlan:
    """The fastest plan that loses no more agreement than ``budget``; of equals the smaller.

    The plan of fp32 loses none, so that there is always one.
    """
    allowed = [plan for plan in plans if 1 - plan.agreement <= budget + 1e-12]
    return min(allowed, key=lambda plan: (plan.latency_ms, plan.bytes))


def frontier(plans: Sequence[PrecisionPlan]) -> list[PrecisionPlan]:
    """The plans that no other beats in both time and agreement, the fastest first."""
    best: list[PrecisionPlan] = []
    for plan in sorted(plans, key=lambda plan: (plan.latency_ms, -plan.agreement)):
        if not best or plan.agreement > best[-1].agreement:
            best.append(plan)
    return best
