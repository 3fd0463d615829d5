"""Real people through a real network: a stream over a file decides as the offline run does."""

from __future__ import annotations

from pathlib import Path

import pytest

from mer_edge.clips import ClipOptions, load_clips
from mer_edge.text.source import TextOptions
from runtime.recognizer import Recognizer
from runtime.stream.session import Session, SessionOptions
from runtime.stream.source import parse_source
from tests.runtime.stream.media import assert_same
from tests.runtime.stream.servers import piped, remuxed

TINY = Path(__file__).parents[2] / "data" / "tiny-bundle"
DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
CLIPS = (
    "ravdess_av_actor01/mp4/01-01-01-01-01-01-01.mp4",
    "clips/M003_level_1_disgusted_015.mp4",
    "clips/0Fi83BHQsMA_00002.mp4",
)
SAID = TextOptions(text="Kids are talking by the door.")


@pytest.fixture(scope="module")
def network() -> Recognizer:
    return Recognizer(TINY, threads=1)


@pytest.mark.shared
@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("way", ["file", "pipe"])
def test_the_offline_decisions(network: Recognizer, name: str, way: str, tmp_path: Path) -> None:
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"needs {path}")
    options = SessionOptions(ClipOptions(text=SAID), window_segments=3)
    if way == "file":
        with Session(network, parse_source(str(path)), options) as session:
            results = list(session.results())
    else:
        data = remuxed(path, tmp_path / "copy.mkv")
        with piped(tmp_path, data) as pipe:
            with Session(network, parse_source(str(pipe)), options) as session:
                results = list(session.results())
        path = tmp_path / "copy.mkv"
        # The last part, shorter than a segment: a pipe does not say where it will end, so its
        # picture is not of its own middle (docs/stream.md).
        if results[-1].end_s - results[-1].start_s < 0.96 * results[-1].segments - 1e-3:
            results.pop()
    clips = []
    for result in results:
        part = ClipOptions(text=SAID, start_s=result.start_s, end_s=result.end_s)
        clips += load_clips(path, part)
    assert results
    assert max(result.face_segments for result in results) == max(r.segments for r in results)
    assert_same(results, network.run_batch(clips))
