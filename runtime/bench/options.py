"""How to measure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mer_edge.bundle import Bundle
from mer_edge.errors import MerEdgeError

DEFAULT_BATCH = 8
MOST_BATCH, MOST_ROUNDS, MOST_COLD_RUNS = 4096, 1_000_000, 1000


@dataclass(frozen=True)
class BenchOptions:
    """What is run, how often, and beside what.

    Raises:
        MerEdgeError: a number is out of its range.
    """

    device: str = "cpu"
    threads: int | None = None
    clip: Path | None = None
    """A media file; None: a synthetic clip of ``segments`` and ``tokens``."""
    segments: int = 5
    tokens: int = 32
    rounds: int = 100
    warm_ups: int = 5
    batch: int | None = None
    """Clips at once for the throughput; None: 8, or as many as the bundle takes if fewer."""
    cold_runs: int = 5
    against: str | None = None
    """One of ``runtime.bench.peers.PEERS``, or the path of a bundle."""
    run: Path | None = None
    """The training run that the bundle was exported from: the peer takes its weights."""

    def __post_init__(self) -> None:
        for option, value, least, most in (
            ("--rounds", self.rounds, 1, MOST_ROUNDS),
            ("--warm-ups", self.warm_ups, 0, MOST_ROUNDS),
            ("--batch", 1 if self.batch is None else self.batch, 1, MOST_BATCH),
            ("--cold-runs", self.cold_runs, 0, MOST_COLD_RUNS),
        ):
            if not least <= value <= most:
                raise MerEdgeError(f"{option} {value}: expected {least} to {most}")
        if self.run is not None and self.against is None:
            raise MerEdgeError(f"found --run {self.run} without --against, whose weights it gives")

    def clips_at_once(self, bundle: Bundle) -> int:
        """``batch``, or what it is for ``bundle`` where nobody said.

        Raises:
            MerEdgeError: the bundle does not take so many.
        """
        most = bundle.manifest.shape_ranges["batch"].maximum
        if self.batch is None:
            return min(DEFAULT_BATCH, most)
        if self.batch > most:
            raise MerEdgeError(
                f"--batch {self.batch}: the bundle {bundle.path} takes at most {most} clips at "
                "once; expected no more"
            )
        return self.batch

    @property
    def batch_rounds(self) -> int:
        """How often the batch is run: it holds many clips each time."""
        return max(3, self.rounds // 10)
