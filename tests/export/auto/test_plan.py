"""Which mix of precisions is chosen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.auto.plan import choose, frontier, name_of, parse_budget
from mer_edge.bundle import PrecisionPlan
from mer_edge.errors import MerEdgeError


def plan(latency_ms, agreement, size=100, **precisions):
    return PrecisionPlan(precisions or {"text": "fp32"}, latency_ms, size, agreement, 0.0)


PLANS = st.lists(
    st.builds(plan, st.floats(0.1, 100), st.floats(0.5, 1), st.integers(1, 1000)), max_size=20
)


@pytest.mark.parametrize(("text", "share"), [("0.5%", 0.005), ("0.005", 0.005), (" 2 %", 0.02)])
def test_a_budget_is_a_share_or_a_per_cent(text, share):
    assert parse_budget(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "half", "-1%", "101%", "1.5", "nan"])
def test_what_is_no_budget_is_told(text):
    with pytest.raises(MerEdgeError, match="expected the share of decisions that may change"):
        parse_budget(text)


@given(PLANS, st.floats(0, 0.5))
def test_the_fastest_within_the_budget(plans, budget):
    plans = [plan(200, 1.0), *plans]
    chosen = choose(plans, budget)
    assert 1 - chosen.agreement <= budget + 1e-9
    assert not any(1 - p.agreement <= budget and p.latency_ms < chosen.latency_ms for p in plans)


@given(PLANS)
def test_nothing_beats_a_plan_on_the_frontier(plans):
    plans = [plan(200, 1.0), *plans]
    best = frontier(plans)
    for one in best:
        assert not any(
            p.latency_ms < one.latency_ms and p.agreement >= one.agreement for p in plans
        )
    assert [p.latency_ms for p in best] == sorted(p.latency_ms for p in best)
    assert [p.agreement for p in best] == sorted(p.agreement for p in best)


def test_of_equals_the_smaller_is_chosen():
    assert choose([plan(1, 1.0, 20), plan(1, 1.0, 10)], 0.0).bytes == 10


def test_a_plan_has_a_name():
    assert name_of(plan(1, 1, text="int8", audio="fp32")) == "text int8, audio fp32"
