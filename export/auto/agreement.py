"""What every mix of precisions decides on real clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.auto.speed import Candidate
from export.chain import run_chain
from export.clip_batch import batch_of
from export.runners import Memo, OnnxRunner, Tensors
from mer_edge.clip import Clip
from mer_edge.text.tokenizer import TextTokenizer

Mix = tuple[tuple[str, str], ...]
"""Per graph its precision."""


class MixRunner:
    """Runs each graph in the precision of a mix; what ran on the same inputs is not run again."""

    def __init__(self, files: Mapping[Candidate, Path]) -> None:
        self._runners = {key: OnnxRunner({key[0]: file}) for key, file in files.items()}
        self.precisions: dict[str, str] = {}
        self.forget()

    def forget(self) -> None:
        """Drop what has been remembered."""
        self._memos = {key: Memo(runner) for key, runner in self._runners.items()}

    def inputs(self, graph: str) -> tuple[str, ...]:
        return self._memos[graph, self.precisions[graph]].inputs(graph)

    def run(self, graph: str, feed: Tensors) -> Tensors:
        return self._memos[graph, self.precisions[graph]].run(graph, feed)


def mixes(files: Mapping[Candidate, Path]) -> list[Mix]:
    """Every choice of one precision for each graph."""
    choices: dict[str, list[str]] = {}
    for graph, precision in files:
        choices.setdefault(graph, []).append(precision)
    return [tuple(zip(choices, mix, strict=True)) for mix in product(*choices.values())]


def logits_of_mixes(
    files: Mapping[Candidate, Path],
    clips: Sequence[Clip],
    tokenizer: TextTokenizer | None,
    absent_text: NDArray[np.float32] | None,
    sizes: dict[str, int],
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[Mix, NDArray[np.float32]]:
    """Per mix the logits of every clip, shape = (clips, labels).

    An encoder runs once for each of its precisions and each text vector it is given, not once for
    each mix.
    """
    runner = MixRunner(files)
    rows: dict[Mix, list[NDArray[np.float32]]] = {mix: [] for mix in mixes(files)}
    for done, clip in enumerate(clips, start=1):
        batch = batch_of([clip], tokenizer)
        runner.forget()
        for mix in rows:
            runner.precisions = dict(mix)
            outputs = run_chain(runner, batch, absent_text, sizes)
            rows[mix].append(outputs["fusion"]["logits"].astype(np.float32))
        if progress:
            progress("measuring agreement", done, len(clips))
    return {mix: np.concatenate(logits) for mix, logits in rows.items()}
