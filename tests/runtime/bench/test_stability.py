"""The rule by which a machine counts as noisy."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.bench.stability import Watch, judge, processor_times


def test_a_quiet_machine_is_quiet() -> None:
    found = judge([4.0] * 95 + [4.3] * 5, 0.001, {"ours": 1.2})
    assert not found.noisy
    assert found.reasons == []
    assert (found.loops, found.loop_median_ms, found.steal_share) == (100, 4.0, 0.001)


@pytest.mark.parametrize(
    ("loops", "steal", "tail", "says"),
    [
        ([4.0] * 80 + [5.0] * 20, 0.0, 1.0, "25% longer"),
        ([4.0] * 100, 0.03, 1.0, "3.0%"),
        ([4.0] * 100, None, 1.8, "1.8 times the median"),
    ],
)
def test_each_limit_is_told_by_itself(
    loops: list[float], steal: float | None, tail: float, says: str
) -> None:
    found = judge(loops, steal, {"ours": 1.0, "theirs": tail})
    assert found.noisy
    assert len(found.reasons) == 1
    assert says in found.reasons[0]


def test_one_long_loop_in_a_hundred_is_no_noise_but_is_told() -> None:
    found = judge([4.0] * 99 + [40.0], 0.0)
    assert not found.noisy
    assert found.loop_max_over_median == 10.0


def test_stolen_time_is_the_eighth_field(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 0 50 800 10 0 5 35 7 0\ncpu0 1 2 3\n")
    assert processor_times(stat) == (1000.0, 35.0)
    watch = Watch(stat)
    stat.write_text("cpu  200 0 100 1600 20 0 10 70 7 0\n")
    assert watch.judge().steal_share == pytest.approx(0.035)
    assert processor_times(tmp_path / "none") is None


def test_the_others_long_runs_are_noise_too() -> None:
    found = judge([4.0] * 100, 0.0, {"ours": 1.1, "theirs": 2.5})
    assert found.reasons == ["p99 of theirs is 2.5 times the median (limit 1.5)"]
