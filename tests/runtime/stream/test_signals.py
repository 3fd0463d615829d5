"""Features of segments where an engine keeps its arrays to itself, and where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.stream.signals import Signal, SignalEncoder
from runtime.texts import EncodedText


@dataclass(eq=False)
class OnDevice:
    """An array that cannot be looked into."""

    rows: list[int]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), 2)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32)


class FakeChain:
    """Features are the first value of a signal and what text guided them."""

    def __init__(self, on_host: bool, stem: bool) -> None:
        self.on_host, self.stem = on_host, stem
        self.prepared = 0
        self.runs: list[int] = []

    def prepare_segments(self, encoder: str, signals: NDArray[Any]) -> list[Any]:
        self.prepared += len(signals)
        return [OnDevice([int(row[0]) for row in signals])] if self.stem else [signals]

    def encode_segments(
        self, encoder: str, prepared: Sequence[Any], text: EncodedText, clip_of: NDArray[np.intp]
    ) -> list[Any]:
        assert len(clip_of) == sum(part.shape[0] for part in prepared)
        self.runs += [part.shape[0] for part in prepared]
        guide = int(np.asarray(text.vectors)[0, 0])
        values = [part.rows if isinstance(part, OnDevice) else part[:, 0] for part in prepared]
        if self.on_host:
            return [np.array([[int(v), guide] for v in part], np.float32) for part in values]
        return [OnDevice([int(v) * 100 + guide for v in part]) for part in values]


def text(guide: int) -> EncodedText:
    return EncodedText(np.array([[guide]], np.float32), np.ones(1, np.bool_))


@pytest.mark.parametrize("stem", [False, True])
@pytest.mark.parametrize("on_host", [False, True])
def test_each_signal_has_its_own_row_under_each_text(on_host: bool, stem: bool) -> None:
    chain: Any = FakeChain(on_host, stem)
    encoder = SignalEncoder(chain, most=3)
    signals = [Signal(np.full(4, number, np.float32)) for number in range(5)]
    for words in (text(7), text(8)):
        assert encoder.encode("audio", signals, words)
        assert not encoder.encode("audio", signals, words)
        guide = int(np.asarray(words.vectors)[0, 0])
        for number, signal in enumerate(signals):
            assert signal.text is words
            if on_host:
                assert np.array_equal(signal.features, [[number, guide]])
            else:
                assert isinstance(signal.features, OnDevice)
                assert signal.features.rows == [number * 100 + guide]
    # What needs no text was made once; a device's rows are not cut apart, others run together.
    assert chain.prepared == 5
    if on_host and not stem:
        assert chain.runs == [1, 3, 1, 3, 2]
    else:
        assert chain.runs == [1] * 10
