"""Streams for tests: the same media offline, and graphs that count how often they run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_edge.clips import ClipOptions, load_clips
from mer_edge.faces.face import FaceDetector
from mer_edge.result import Result
from mer_edge.text.source import TextOptions
from runtime.recognizer import Recognizer
from tests.grey_detector import Grey
from tests.media_files import Picture, Voice, write_media

TEXT = "good day"


def swell(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sound whose mean differs from segment to segment, as the miniature bundle wants it."""
    wave: NDArray[np.float64] = 0.3 * np.sin(2 * np.pi * 0.21 * times_s) + 0.1
    return wave


def clip_file(
    path: Path,
    duration_s: float = 6.0,
    *,
    codec: str = "libx264",
    size: tuple[int, int] = (160, 120),
    sound: bool = True,
    rate_hz: int = 48_000,
) -> Path:
    """Numbered frames at 10 Hz and sound that swells."""
    picture = Picture(codec, size=size, frames=round(duration_s * 10), rate_hz=10.0)
    voice = Voice("aac", rate_hz, duration_s=duration_s, wave=swell)
    return write_media(path, picture, voice if sound else None)


def offline(
    recognizer: Recognizer, path: Path, windows: Iterable[Result], text: str | None = TEXT
) -> list[Result]:
    """The decisions of the offline run over the windows of a stream's results."""
    clips = []
    for window in windows:
        words = TextOptions(text=text, no_text=text is None)
        options = ClipOptions(text=words, start_s=window.start_s, end_s=window.end_s)
        clips += load_clips(path, options, detector=Grey())
    return recognizer.run_batch(clips)


def assert_same(found: Sequence[Result], expected: Sequence[Result], within: float = 1e-5) -> None:
    """The same windows, presence and probabilities."""
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        for name in ("segments", "audio_segments", "face_segments", "text", "decision", "top"):
            assert getattr(ours, name) == getattr(theirs, name), (name, ours.start_s)
        assert abs(ours.start_s - theirs.start_s) < 1e-6
        assert abs(ours.end_s - theirs.end_s) < 1e-3
        assert difference(ours, theirs) <= within, ours.start_s


def difference(ours: Result, theirs: Result) -> float:
    """The largest of the probabilities, and of the modalities' weights."""
    pairs = [(ours.probabilities[k], theirs.probabilities[k]) for k in theirs.probabilities]
    pairs += [(ours.modalities[k].weight, theirs.modalities[k].weight) for k in theirs.modalities]
    return max(abs(a - b) for a, b in pairs)


class Counting:
    """A graph that counts its runs and the rows of each."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self.rows: list[int] = []

    @property
    def engine(self) -> str:
        return str(self._graph.engine)

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        self.rows.append(len(next(iter(feeds.values()))))
        outputs: dict[str, Any] = self._graph.run(feeds)
        return outputs


def counted(recognizer: Recognizer) -> dict[str, Counting]:
    """Wraps the recognizer's graphs."""
    graphs: Any = recognizer.chain._graphs
    for name in list(graphs):
        graphs[name] = Counting(graphs[name])
    return dict(graphs)


def detector() -> FaceDetector:
    """Finds a face in every frame that is not black."""
    return Grey()
