"""An option that has no effect on a source is refused, and says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from mer_edge.clips import ClipOptions
from mer_edge.errors import MerEdgeError
from mer_edge.text.source import TextOptions
from runtime.recognizer import Recognizer
from runtime.stream import session as session_module
from runtime.stream.live import LiveReader
from runtime.stream.session import Session, SessionOptions
from runtime.stream.source import parse_source
from tests.grey_detector import Grey
from tests.media_files import Voice, write_media
from tests.runtime.stream.media import clip_file
from tests.runtime.stream.servers import hosting, piped, remuxed

PLAYLIST = b"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n#EXTINF:4.0,\na.ts\n"


def refused(recognizer: Recognizer, given: str | Path, options: SessionOptions) -> str:
    with pytest.raises(MerEdgeError) as caught:
        Session(recognizer, parse_source(str(given)), options, detector=Grey())
    return str(caught.value)


@pytest.mark.parametrize("realtime", [False, True])
def test_attempts_for_a_file(recognizer: Recognizer, tmp_path: Path, realtime: bool) -> None:
    path = write_media(tmp_path / "a.wav", voice=Voice("pcm_s16le"))
    said = refused(recognizer, path, SessionOptions(reconnect=0, realtime=realtime))
    assert said.startswith(f"{path}: --reconnect was given for a file; expected it for a camera or")


def test_attempts_for_a_pipe(recognizer: Recognizer, tmp_path: Path) -> None:
    with piped(tmp_path, b"") as path:
        said = refused(recognizer, path, SessionOptions(reconnect=3))
        path.open("rb").close()
    assert "--reconnect was given for a pipe" in said


def test_attempts_for_a_recording(recognizer: Recognizer, tmp_path: Path) -> None:
    data = remuxed(clip_file(tmp_path / "clip.mp4", 1.0), tmp_path / "clip.ts")
    with hosting({"clip.ts": data}) as place:
        said = refused(recognizer, f"{place}/clip.ts", SessionOptions(reconnect=3))
    assert "--reconnect was given for a recording, whose end is the end" in said


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_playlist_that_grows_is_live(tmp_path: Path, is_closed: bool) -> None:
    """The list has a size, as a recording has."""
    data = remuxed(clip_file(tmp_path / "clip.mp4", 4.0), tmp_path / "clip.ts")
    list_ = PLAYLIST + (b"#EXT-X-ENDLIST\n" if is_closed else b"")
    with hosting({"live.m3u8": list_, "a.ts": data}) as place:
        reader = LiveReader(parse_source(f"{place}/live.m3u8"), ("audio",), attempts=0)
        reader._container.close()
    assert reader.is_recording == is_closed


def test_what_only_pictures_or_only_sound_need(
    recognizer: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = write_media(tmp_path / "a.wav", voice=Voice("pcm_s16le"))
    silent = clip_file(tmp_path / "silent.mp4", 1.0, sound=False)
    yunet = ClipOptions(yunet=tmp_path / "yunet.onnx")
    asr = ClipOptions(text=TextOptions(asr_model=tmp_path))
    monkeypatch.setattr(session_module, "Transcriber", None)  # nothing is loaded before
    for realtime in (False, True):
        said = refused(recognizer, sound, SessionOptions(yunet, realtime=realtime))
        assert "--yunet was given for a source without pictures" in said
        said = refused(recognizer, silent, SessionOptions(asr, realtime=realtime))
        assert "--asr was given for a source without sound" in said
