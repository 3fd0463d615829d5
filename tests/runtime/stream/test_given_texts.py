"""The text of a file is the same however the file is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mer_edge.clips import ClipOptions
from mer_edge.errors import MerEdgeError
from mer_edge.result import Result
from mer_edge.text.source import TextOptions
from runtime.recognizer import Recognizer
from runtime.stream.session import Session, SessionOptions
from runtime.stream.source import parse_source
from tests.grey_detector import Grey
from tests.media_files import Picture, Voice, write_media
from tests.runtime.stream.media import TEXT, assert_same, clip_file, swell
from tests.runtime.stream.servers import piped

CUES = [(0.1, 1.0, "good day"), (1.1, 2.5, "bad")]
SUBTITLES = """1
00:00:00,100 --> 00:00:01,000
good day

2
00:00:01,100 --> 00:00:02,500
bad
"""


def decided(
    recognizer: Recognizer,
    path: Path,
    format_: str | None = None,
    *,
    text: TextOptions | None = None,
    realtime: bool = False,
) -> list[Result]:
    """Windows of one segment."""
    options = SessionOptions(ClipOptions(text=text or TextOptions()), 1, realtime=realtime)
    with Session(recognizer, parse_source(str(path), format_), options, detector=Grey()) as opened:
        return list(opened.results())


@pytest.mark.parametrize("kind", ["srt", "txt", "inside"])
def test_in_real_time_or_with_a_format_as_without(
    recognizer: Recognizer, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "clip.mkv"
    picture = Picture(frames=19, rate_hz=10.0)
    voice = Voice("aac", duration_s=1.9, wave=swell)
    write_media(path, picture, voice, cues=CUES if kind == "inside" else ())
    if kind != "inside":
        path.with_suffix(f".{kind}").write_text(SUBTITLES if kind == "srt" else TEXT)
    plain = decided(recognizer, path)
    assert [result.text for result in plain] == ([TEXT] * 2 if kind == "txt" else [TEXT, "bad"])
    assert_same(decided(recognizer, path, realtime=True), plain)
    assert_same(decided(recognizer, path, "matroska"), plain)
    none = decided(recognizer, path, "matroska", text=TextOptions(no_text=True))
    assert [result.text for result in none] == [None] * 2
    said = decided(recognizer, path, "matroska", text=TextOptions(text="other words"))
    assert [result.text for result in said] == ["other words"] * 2


def test_raw_sound_has_the_text_beside_it(recognizer: Recognizer, tmp_path: Path) -> None:
    path = tmp_path / "talk.raw"
    path.write_bytes(np.zeros(16_000, np.int16).tobytes())
    path.with_suffix(".txt").write_text(TEXT)
    results = decided(recognizer, path, "s16le:sample_rate=16000:ch_layout=mono")
    assert [result.text for result in results] == [TEXT]


def test_a_pipe_has_no_text_beside_it(recognizer: Recognizer, tmp_path: Path) -> None:
    (tmp_path / "pipe.txt").write_text(TEXT)
    data = write_media(tmp_path / "a.wav", voice=Voice("pcm_s16le")).read_bytes()
    with piped(tmp_path, data) as path:
        assert [result.text for result in decided(recognizer, path)] == [None]


def test_a_text_that_cannot_be_read_is_told_before_anything_is_decided(
    recognizer: Recognizer, tmp_path: Path
) -> None:
    path = clip_file(tmp_path / "clip.mp4", 1.0)
    (tmp_path / "clip.srt").write_text("no cue")
    for realtime in (False, True):
        with pytest.raises(MerEdgeError, match=r"clip\.srt: no cue"):
            decided(recognizer, path, realtime=realtime)
