"""Whether the machine was quiet enough for its times to be believed.

Between the runs a loop of fixed work is timed, which takes the same time every time on a machine
that does nothing else. What the loop shows, the processor's clock, other programs and a busy host,
has disturbed the runs beside it as well.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np

ASLEEP_S = 0.03
"""After that threads that wait by spinning have given up. PyTorch's (OpenMP) go on for several
milliseconds after a run, on a core that whoever comes next needs: of two cores one."""
SPIN_MS = 4.0
"""How long the loop is meant to take."""
SPREAD_LIMIT = 0.10
"""Noisy: nine in ten loops were not within this of their median."""
STEAL_LIMIT = 0.01
"""Noisy: the hypervisor gave more of the processors' time than this to others."""
TAIL_LIMIT = 1.5
"""Noisy: the slowest runs (p99) of a series took that many times its median. A peer of several
threads may suffer where one thread, as the loop is, finds a core free."""
STAT = Path("/proc/stat")
NO_TAILS: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class Stability:
    """What the machine did beside the runs."""

    noisy: bool
    reasons: list[str] = field(default_factory=list)
    """Why, each with its limit."""
    loops: int = 0
    loop_median_ms: float = 0.0
    loop_p90_over_median: float = 1.0
    loop_max_over_median: float = 1.0
    steal_share: float | None = None
    """Of the processors' time, taken by the hypervisor; None where the system does not say."""


class Watch:
    """Takes notice of the machine while runs are measured."""

    def __init__(self, stat: Path = STAT) -> None:
        self._stat = stat
        self._count = _calibrated()
        self._loops_ms: list[float] = []
        self._before = processor_times(stat)

    def loop(self) -> None:
        """Once between any two runs, when the threads of the last one are asleep."""
        time.sleep(ASLEEP_S)
        started = time.perf_counter()
        _spin(self._count)
        self._loops_ms.append((time.perf_counter() - started) * 1e3)

    def judge(self, tails: Mapping[str, float] = NO_TAILS) -> Stability:
        """The verdict on the runs so far.

        Args:
            tails: p99 over the median of each series of runs, by whose they are.
        """
        return judge(self._loops_ms, self._steal(), tails)

    def _steal(self) -> float | None:
        after = processor_times(self._stat)
        if self._before is None or after is None:
            return None
        total = after[0] - self._before[0]
        return (after[1] - self._before[1]) / total if total > 0 else 0.0


def judge(
    loops_ms: list[float], steal_share: float | None, tails: Mapping[str, float] = NO_TAILS
) -> Stability:
    """The rule: any of the three limits exceeded makes the machine noisy."""
    loops = np.asarray(loops_ms or [1.0], np.float64)
    median = float(np.median(loops))
    p90 = float(np.percentile(loops, 90, method="inverted_cdf")) / median
    reasons = []
    if p90 > 1 + SPREAD_LIMIT:
        reasons.append(
            f"a loop of fixed work between the runs took {p90 - 1:.0%} longer than its median in "
            f"one of ten cases (limit {SPREAD_LIMIT:.0%}): other programs, or a changing clock"
        )
    if steal_share is not None and steal_share > STEAL_LIMIT:
        reasons.append(
            f"the hypervisor gave {steal_share:.1%} of the processors' time to others (limit "
            f"{STEAL_LIMIT:.0%})"
        )
    reasons += [
        f"p99 of {whose} is {tail:.1f} times the median (limit {TAIL_LIMIT})"
        for whose, tail in tails.items()
        if tail > TAIL_LIMIT
    ]
    return Stability(
        noisy=bool(reasons),
        reasons=reasons,
        loops=len(loops_ms),
        loop_median_ms=median if loops_ms else 0.0,
        loop_p90_over_median=p90,
        loop_max_over_median=float(loops.max()) / median,
        steal_share=steal_share,
    )


def processor_times(stat: Path = STAT) -> tuple[float, float] | None:
    """All processors together since the start, in ticks: everything, and what was stolen."""
    try:
        first = stat.read_text().splitlines()[0].split()
    except (OSError, IndexError):
        return None
    if len(first) < 9 or first[0] != "cpu":
        return None
    # Fields 9 and 10, guests, are in user and nice already.
    ticks = [float(value) for value in first[1:9]]
    return sum(ticks), ticks[7]


def load_average() -> list[float] | None:
    """Over 1, 5 and 15 minutes; None where the system has none."""
    try:
        return [round(value, 2) for value in os.getloadavg()]
    except (AttributeError, OSError):
        return None


def _calibrated() -> int:
    """Turns of the loop that take about ``SPIN_MS`` at the speed of the fastest of a few tries."""
    count, tries = 10_000, 7
    least = min(_timed(count) for _ in range(tries))
    return max(1000, int(count * SPIN_MS / 1e3 / least))


def _timed(count: int) -> float:
    started = time.perf_counter()
    _spin(count)
    return time.perf_counter() - started


def _spin(count: int) -> int:
    value = 1
    for _ in range(count):
        value = (value * 1103515245 + 12345) & 0x7FFFFFFF
    return value
