"""Which frame is shown in the middle of which segment, told frame by frame."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.stream.pictures import MiddlePicker, middle_s

FRAME_S = 0.04


def picked(times_s: list[float]) -> dict[int, str | None]:
    """What a picker says of frames named by their times."""
    picker: MiddlePicker[str] = MiddlePicker()
    known: dict[int, str | None] = {}
    for time_s in times_s:
        known.update(picker.add(f"{time_s:g}", time_s, FRAME_S))
    return known


def test_the_frame_that_a_viewer_sees() -> None:
    assert picked([0.0, 0.4, 0.5, 1.4, 1.5]) == {0: "0.4", 1: "1.4"}


def test_a_frame_that_starts_in_the_very_middle_is_it() -> None:
    assert picked([0.0, 0.48, 0.52]) == {0: "0.48"}
    assert picked([0.0, 0.49, 0.52]) == {0: "0"}


def test_before_the_first_frame_there_is_none() -> None:
    assert picked([1.0, 1.6]) == {0: None, 1: "1"}


def test_a_slow_camera_shows_a_frame_until_the_next() -> None:
    assert picked([0.0, 4.0]) == {0: "0", 1: "0", 2: "0", 3: "0"}


def test_after_lost_frames_it_stands_half_a_second_longer() -> None:
    picker: MiddlePicker[str] = MiddlePicker()
    picker.add("0", 0.0, FRAME_S, failed=0)
    # 0.48 s is within 0.04 + 0.5 s of the frame, 1.44 s is not.
    assert picker.add("2", 2.0, FRAME_S, failed=1) == [(0, "0"), (1, None)]


def test_settling_waits_for_nobody() -> None:
    picker: MiddlePicker[str] = MiddlePicker()
    picker.add("0", 0.0, FRAME_S)
    assert picker.settle(1) == [(0, "0"), (1, None)]
    assert picker.add("2.5", 2.5, FRAME_S) == [(2, "0")]


def test_at_the_end_the_last_frame_is_shown_as_long_as_it_lasts() -> None:
    picker: MiddlePicker[str] = MiddlePicker()
    picker.add("0.4", 0.4, FRAME_S)
    assert picker.settle(0, hold_s=0.0) == [(0, None)]
    picker = MiddlePicker()
    picker.add("0.45", 0.45, FRAME_S)
    assert picker.settle(0, hold_s=0.0) == [(0, "0.45")]


def test_after_a_gap_nothing_is_shown() -> None:
    picker: MiddlePicker[str] = MiddlePicker()
    picker.add("0", 0.0, FRAME_S)
    picker.restart(3)
    assert picker.add("3", 3.0, FRAME_S) == []
    assert picker.add("3.4", 3.4, FRAME_S) == [(3, "3")]


@given(st.lists(st.floats(0, 20), min_size=1, max_size=60, unique=True))
def test_it_is_always_the_newest_frame_that_has_begun(times_s: list[float]) -> None:
    times_s = sorted(times_s)
    picker: MiddlePicker[float] = MiddlePicker()
    known = [pair for time_s in times_s for pair in picker.add(time_s, time_s, FRAME_S)]
    assert [segment for segment, _ in known] == list(range(len(known)))
    for segment, frame_s in known:
        begun = [time_s for time_s in times_s if time_s <= middle_s(segment) + 1e-6]
        assert frame_s == (begun[-1] if begun else None)
    # Everything is known that can be: a frame after the next middle has not come.
    assert times_s[-1] <= middle_s(len(known)) + 1e-6


@pytest.mark.parametrize("late_s", [0.1, 0.5])
def test_a_frame_that_comes_out_of_order_is_left_out(late_s: float) -> None:
    assert picked([0.3, 0.6, late_s, 1.5]) == {0: "0.3", 1: "0.6"}
