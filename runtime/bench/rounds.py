"""Runs in turn: every round each subject once, one at a time, the order changing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from runtime.bench.stability import Watch

Step = Callable[[str, int, int], None]
"""Told ``(what, done, total)``."""


@dataclass
class Rounds:
    """Wall times per subject; the i-th of each belong to one round."""

    times_ms: dict[str, list[float]] = field(default_factory=dict)
    interrupted: bool = False


def run_rounds(
    subjects: Mapping[str, Callable[[], float]],
    rounds: int,
    warm_ups: int,
    watch: Watch | None,
    step: Step,
) -> Rounds:
    """Run ``warm_ups`` rounds that do not count, then ``rounds`` that do.

    Every other round goes through the subjects backwards, so that none always follows the same
    one. Ctrl-C ends it; a round that was begun is dropped.

    Args:
        subjects: per name a run that returns its wall time in milliseconds.
        watch: times its loop after each run that counts.
    """
    found = Rounds({name: [] for name in subjects})
    try:
        for number in range(warm_ups + rounds):
            times = {}
            for name in list(subjects)[:: 1 if number % 2 == 0 else -1]:
                times[name] = subjects[name]()
                if watch is not None and number >= warm_ups:
                    watch.loop()
            if number >= warm_ups:
                for name, time_ms in times.items():
                    found.times_ms[name].append(time_ms)
                step("in turns", number - warm_ups + 1, rounds)
            else:
                step("warming up", number + 1, warm_ups)
    except KeyboardInterrupt:
        found.interrupted = True
    return found
