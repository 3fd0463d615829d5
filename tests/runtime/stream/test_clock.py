"""Jumps are put together, drift is measured and followed."""

from __future__ import annotations

import pytest

from runtime.stream.clock import DRIFT_WINDOW, Drift, Origin, StampClock
from runtime.stream.counts import StreamCounts


def test_stamps_are_counted_from_the_first() -> None:
    origin, counts = Origin(), StreamCounts()
    sound, pictures = (StampClock(origin, 10.0, counts) for _ in range(2))
    assert sound.time_s(5000.0, 0.02) == pytest.approx(10.0)
    assert pictures.time_s(5000.5, 0.04) == pytest.approx(10.5)
    assert sound.time_s(None, 0.02) == pytest.approx(10.02)
    # A hole of two seconds is a hole.
    assert sound.time_s(5002.04, 0.02) == pytest.approx(12.04)
    assert counts.jumps == 0


@pytest.mark.parametrize("restarted_s", [0.0, 1e5])
def test_a_count_that_starts_anew_goes_on(restarted_s: float) -> None:
    counts = StreamCounts()
    clock = StampClock(Origin(50.0), 0.0, counts)
    clock.time_s(60.0, 0.5)
    assert clock.time_s(restarted_s, 0.5) == pytest.approx(10.5)
    assert clock.time_s(restarted_s + 0.5, 0.5) == pytest.approx(11.0)
    assert counts.jumps == 1


def test_pictures_that_run_away_are_moved_back_and_the_drift_is_told() -> None:
    """A camera whose clock is 1 % fast: 3 s in five minutes."""
    drift, clock = Drift(), StampClock(Origin(0.0), 0.0, StreamCounts())
    worst_s = 0.0
    for number in range(300 * 25):
        now_s = number * 0.04
        shown_s = clock.time_s(now_s * 1.01, 0.04)
        drift.add(now_s + 0.05, shown_s)
        clock.move(drift.correction_s())
        worst_s = max(worst_s, abs(shown_s - now_s))
    # The medians look 5 s back on either side: 0.05 s each.
    assert drift.drift_s == pytest.approx(3.0, abs=0.15)
    assert drift.moved == 10 or drift.moved == 11
    assert worst_s < 0.4


def test_clocks_that_agree_are_left_alone() -> None:
    drift = Drift()
    for number in range(4 * DRIFT_WINDOW):
        # What comes in bursts is now early, now late.
        drift.add(number * 0.04 + (number % 10) * 0.02, number * 0.04)
        assert drift.correction_s() == 0.0
    assert abs(drift.drift_s) < 0.03
