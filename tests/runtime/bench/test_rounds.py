"""Turns: one at a time, the order changing, whole rounds only."""

from __future__ import annotations

from collections.abc import Callable

from runtime.bench.rounds import run_rounds


def silent(what: str, done: int, total: int) -> None: ...


def test_the_order_changes_and_warm_ups_do_not_count() -> None:
    order: list[str] = []
    told: list[tuple[str, int, int]] = []

    def subject(name: str) -> Callable[[], float]:
        def run() -> float:
            order.append(name)
            return float(len(order))

        return run

    found = run_rounds(
        {name: subject(name) for name in "abc"}, 3, 1, None, lambda *what: told.append(what)
    )
    assert "".join(order) == "abccbaabccba"
    assert found.times_ms == {"a": [6, 7, 12], "b": [5, 8, 11], "c": [4, 9, 10]}
    assert told == [("warming up", 1, 1), *(("in turns", n, 3) for n in (1, 2, 3))]
    assert not found.interrupted


def test_ctrl_c_keeps_whole_rounds() -> None:
    runs = 0

    def second() -> float:
        nonlocal runs
        runs += 1
        if runs == 3:
            raise KeyboardInterrupt
        return 2.0

    found = run_rounds({"first": lambda: 1.0, "second": second}, 10, 0, None, silent)
    assert found.interrupted
    assert found.times_ms == {"first": [1.0, 1.0], "second": [2.0, 2.0]}
