"""What is known of one segment's sound or face, each piece computed once.

The features depend on the text, so they are kept with it; what can be computed before the text is
known is kept beside them and serves every text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.arrays import Array
from runtime.chain import Chain
from runtime.texts import EncodedText


@dataclass(eq=False)
class Signal:
    """A segment's waveform (15600,) float32 or an aligned face (224, 224, 3) uint8."""

    values: NDArray[Any]
    prepared: Array | None = None
    """What the chain made of it without the text, one row; of any make."""
    features: Array | None = None
    """shape = (1, size), guided by ``text``"""
    text: EncodedText | None = None


class SignalEncoder:
    """Brings the features of signals up to date: only what a text or a signal has changed runs."""

    def __init__(self, chain: Chain, most: int) -> None:
        """``most``: segments that one run of an encoder takes."""
        self._chain = chain
        self._most = most
        self._on_host = False
        """Whether features are known to be NumPy's: those of several signals can be cut apart."""

    def prepare(self, encoder: str, signal: Signal) -> None:
        """What needs no text, unless it is there."""
        if signal.prepared is None:
            (signal.prepared,) = self._chain.prepare_segments(encoder, signal.values[None])

    def encode(self, encoder: str, signals: Sequence[Signal], text: EncodedText) -> bool:
        """Features of every signal under ``text``; whether anything had to run.

        Raises:
            MerEdgeError: the engine failed.
        """
        stale = [signal for signal in signals if signal.text is not text]
        ran = bool(stale)
        for signal in stale:
            self.prepare(encoder, signal)
        # The first one runs alone: it shows where this engine keeps its arrays.
        while stale:
            together = stale if self._on_host else stale[:1]
            self._run(encoder, together, text)
            stale = stale[len(together) :]
        return ran

    def _run(self, encoder: str, signals: Sequence[Signal], text: EncodedText) -> None:
        parts = self._joined([signal.prepared for signal in signals])
        rows = self._chain.encode_segments(encoder, parts, text, np.zeros(len(signals), np.intp))
        self._on_host = all(isinstance(row, np.ndarray) for row in rows)
        if len(signals) > 1:
            joined = np.concatenate([np.asarray(row) for row in rows])
            rows = [joined[i : i + 1] for i in range(len(signals))]
        for signal, row in zip(signals, rows, strict=True):
            signal.features, signal.text = row, text

    def _joined(self, prepared: Sequence[Array | None]) -> list[Array]:
        arrays: list[Any] = list(prepared)
        if len(arrays) == 1 or not all(isinstance(array, np.ndarray) for array in arrays):
            return arrays
        starts = range(0, len(arrays), self._most)
        return [np.concatenate(arrays[i : i + self._most]) for i in starts]
