"""Figures whose values can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.bench.summary import Latency, Ratio


def test_percentiles_are_runs_that_happened_and_none_is_left_out() -> None:
    times = [float(value) for value in range(1, 101)]
    found = Latency.of([*times[::-1]])
    assert (found.runs, found.p50_ms, found.p90_ms, found.p99_ms) == (100, 50.5, 90.0, 99.0)
    assert (found.mean_ms, found.min_ms, found.max_ms) == (50.5, 1.0, 100.0)


def test_one_slow_run_of_few_is_the_tail() -> None:
    found = Latency.of([1.0, 1.0, 1.0, 500.0])
    assert (found.p50_ms, found.p90_ms, found.p99_ms, found.max_ms) == (1.0, 500.0, 500.0, 500.0)
    assert found.mean_ms == 125.75


def test_a_constant_ratio_has_no_spread() -> None:
    own = [10.0, 11.0, 9.0, 30.0]
    found = Ratio.of(own, [2 * value for value in own])
    assert (found.rounds, found.of_medians, found.low, found.high) == (4, 2.0, 2.0, 2.0)
    assert found.quartiles == (2.0, 2.0, 2.0)


def test_the_interval_holds_the_true_ratio_and_shrinks_with_the_rounds() -> None:
    rng = np.random.default_rng(3)
    few, many = (
        Ratio.of(rng.normal(100, 10, count).tolist(), rng.normal(150, 15, count).tolist())
        for count in (20, 2000)
    )
    assert few.low < 1.5 < few.high
    assert many.low < 1.5 < many.high
    assert many.high - many.low < 0.3 * (few.high - few.low)
    assert many.quartiles[1] == pytest.approx(1.5, abs=0.05)
