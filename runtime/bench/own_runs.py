"""Our own runtime, run by run, with what its results say of the stages."""

from __future__ import annotations

import math
import time
from pathlib import Path

from mer_edge.clip import Clip
from mer_edge.result import Result
from runtime.bench.summary import Latency
from runtime.recognizer import Recognizer


class OwnRuns:
    """Runs one clip, or one file, again and again.

    Args:
        file: a media file to run from; None runs the clip.
    """

    def __init__(self, recognizer: Recognizer, clip: Clip, file: Path | None) -> None:
        self._recognizer, self._clip, self._file = recognizer, clip, file
        self._stages: list[dict[str, float]] = []
        self.engine = ""
        self.logits: list[float] | None = None

    def run(self) -> float:
        """From the file where there is one, else from the clip; milliseconds."""
        if self._file is None:
            return self.run_clip()
        started = time.perf_counter()
        results = list(self._recognizer.recognize_all(self._file))
        wall_ms = (time.perf_counter() - started) * 1e3
        self._take(results)
        return wall_ms

    def run_clip(self) -> float:
        """From the clip's arrays to the result, milliseconds."""
        started = time.perf_counter()
        result = self._recognizer.recognize(self._clip)
        wall_ms = (time.perf_counter() - started) * 1e3
        self.logits = logits_of(result)
        if self._file is None:
            self._take([result])
        return wall_ms

    def stages(self, last: int) -> dict[str, Latency]:
        """Of the last runs, several clips of a run added up."""
        runs = self._stages[-last:]
        names = [name for name in runs[0] if name != "total"]
        if self._file is None:
            names.remove("media")  # there is none
        return {name: Latency.of([run.get(name, 0.0) for run in runs]) for name in names}

    def _take(self, results: list[Result]) -> None:
        self.engine = results[0].engine
        stages: dict[str, float] = {}
        for result in results:
            for name, spent in result.timings_ms.items():
                stages[name] = stages.get(name, 0.0) + spent
        self._stages.append(stages)


def logits_of(result: Result) -> list[float]:
    """What the probabilities were made of; each is strictly between 0 and 1 unless it saturates."""
    return [
        math.log(p) - math.log1p(-p) if 0 < p < 1 else math.copysign(math.inf, p - 0.5)
        for p in result.probabilities.values()
    ]
