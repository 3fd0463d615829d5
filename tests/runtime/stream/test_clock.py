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


def test_a_count_that_starts_anew_by_a_little_goes_on() -> None:
    """A camera that starts again after two seconds: a frame is never before the last one."""
    counts = StreamCounts()
    clock = StampClock(Origin(0.0), 0.0, counts)
    times_s = [clock.time_s(stamp_s, 0.5) for stamp_s in (0.0, 0.5, 1.0, 1.5, 0.0, 0.5)]
    assert times_s == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0, 2.5])
    assert counts.jumps == 1


def test_a_new_count_keeps_sound_and_pictures_in_step() -> None:
    """Files joined: the sound of each ends 0.3 s after its pictures."""
    origin, counts = Origin(0.0), StreamCounts()
    sound, pictures = (StampClock(origin, 0.0, counts) for _ in range(2))
    for stamp_s in (0.0, 1.0, 2.0):
        pictures.time_s(stamp_s, 1.0)
        sound.time_s(stamp_s + 0.3, 1.0)
    began_s = pictures.time_s(0.0, 1.0)
    assert began_s == pytest.approx(3.0)
    assert sound.time_s(0.3, 1.0) == pytest.approx(began_s + 0.3)
    assert counts.jumps == 2


def test_a_pause_of_one_stream_is_a_pause() -> None:
    origin, counts = Origin(0.0), StreamCounts()
    sound, pictures = (StampClock(origin, 0.0, counts) for _ in range(2))
    sound.time_s(0.0, 0.02)
    for second in range(31):
        pictures.time_s(float(second), 1.0)
    assert sound.time_s(30.5, 0.02) == pytest.approx(30.5)
    assert counts.jumps == 0


def test_a_stamp_that_leaps_and_comes_back() -> None:
    for leap_s in (4.0, 11_930.0, -700.0):
        clock = StampClock(Origin(0.0), 0.0, StreamCounts())
        stamps_s = [0.0, 1.0, 2.0 + leap_s, 3.0, 4.0]
        times_s = [clock.time_s(stamp_s, 1.0) for stamp_s in stamps_s]
        assert times_s[3:] == pytest.approx([3.0, 4.0])


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
