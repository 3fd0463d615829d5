"""Sources to decisions: the same as offline, and what happens on bad days."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from mer_edge.clips import ClipOptions
from mer_edge.errors import MerEdgeError
from mer_edge.faces.face import Face
from mer_edge.result import Result
from mer_edge.text.source import TextOptions
from runtime.recognizer import Recognizer
from runtime.stream import live, source
from runtime.stream.session import Session, SessionOptions
from runtime.stream.source import parse_source
from tests.grey_detector import Grey
from tests.media_files import Picture, Voice, write_media
from tests.runtime.stream.media import TEXT, assert_same, clip_file, offline, swell
from tests.runtime.stream.servers import hosting, piped, remuxed, serving, silent_after
from tests.transport_stream import AUDIO_IDS, VIDEO_IDS, restamp

SAID = ClipOptions(text=TextOptions(text=TEXT))


def session(
    recognizer: Recognizer, given: str | Path, options: SessionOptions | None = None
) -> Session:
    options = options or SessionOptions(SAID, window_segments=3)
    return Session(recognizer, parse_source(str(given)), options, detector=Grey())


def decided(opened: Session) -> list[Result]:
    with opened:
        return list(opened.results())


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip_file(tmp_path_factory.mktemp("clip") / "clip.mp4", 5.0)


@pytest.mark.parametrize("duration_s", [0.3, 5.0, 5.5])
def test_a_file_gives_the_offline_decisions(
    recognizer: Recognizer, tmp_path: Path, duration_s: float
) -> None:
    """5 s leave a fifth of a segment, which is no segment; 5.5 s leave three quarters of one."""
    path = clip_file(tmp_path / "clip.mp4", duration_s)
    results = decided(session(recognizer, path))
    assert [result.segments for result in results] == {0.3: [1], 5.0: [1, 2, 3, 3, 3]}.get(
        duration_s, [1, 2, 3, 3, 3, 3]
    )
    assert all(result.face_segments == result.segments for result in results)
    assert_same(results, offline(recognizer, path, results))


@pytest.mark.parametrize("name", ["sound.wav", "silent.mp4"])
def test_a_file_without_one_of_the_two(recognizer: Recognizer, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "sound.wav":
        write_media(path, voice=Voice("pcm_s16le", 44_100, "stereo", duration_s=3.0, wave=swell))
    else:
        clip_file(path, 3.0, sound=False)
    results = decided(session(recognizer, path))
    assert len(results) == 3
    assert_same(results, offline(recognizer, path, results))


def test_sound_that_begins_late_and_ends_early(recognizer: Recognizer, tmp_path: Path) -> None:
    picture = Picture(frames=60, rate_hz=10.0)
    voice = Voice("aac", 44_100, duration_s=2.5, start_s=1.2, wave=swell)
    path = write_media(tmp_path / "late.mkv", picture, voice)
    results = decided(session(recognizer, path))
    assert [result.audio_segments for result in results] == [0, 1, 2, 3, 2, 1]
    assert_same(results, offline(recognizer, path, results))


def test_subtitles_beside_a_file_are_what_is_said_when(
    recognizer: Recognizer, tmp_path: Path
) -> None:
    path = clip_file(tmp_path / "clip.mp4", 5.0)
    (tmp_path / "clip.srt").write_text(
        "1\n00:00:01,000 --> 00:00:02,500\ngood day\n\n2\n00:00:03,000 --> 00:00:03,500\nbad\n"
    )
    results = decided(session(recognizer, path, SessionOptions(window_segments=1)))
    assert [result.text for result in results] == [None, "good day", None, None, None]


@pytest.mark.parametrize("container", ["ts", "mkv"])
def test_a_pipe_gives_the_offline_decisions(
    recognizer: Recognizer, clip: Path, tmp_path: Path, container: str
) -> None:
    copy = tmp_path / f"copy.{container}"
    with piped(tmp_path, remuxed(clip, copy)) as path:
        results = decided(session(recognizer, path))
    assert len(results) == 5
    assert_same(results, offline(recognizer, copy, results))


@pytest.mark.parametrize("options", [{}, {"movflags": "faststart"}, {"movflags": "empty_moov"}])
def test_an_mp4_from_a_pipe_needs_its_index_first(
    recognizer: Recognizer, tmp_path: Path, options: dict[str, str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 120, 160, 3)).astype(np.uint8)
    picture = Picture(frames=75, draw=lambda number, _time_s, _size: noise[number % 8])
    path = write_media(tmp_path / "a.mp4", picture, Voice(duration_s=3), options=options)
    # FFmpeg goes back over 32 kB without having to seek.
    assert path.stat().st_size > 100_000
    with piped(tmp_path, path.read_bytes()) as pipe:
        opened = session(recognizer, pipe)
        if options:
            assert len(decided(opened)) == 3
            return
        with pytest.raises(MerEdgeError) as caught:
            decided(opened)
    message = str(caught.value)
    assert "index ('moov') is at its end, and a pipe cannot go back" in message
    assert "give the file's name instead, or write it with ffmpeg -movflags +faststart" in message
    with hosting({"a.mp4": path.read_bytes()}) as place, pytest.raises(MerEdgeError) as caught:
        decided(session(recognizer, f"{place}/a.mp4"))  # nothing but the whole file is given
    assert "is at its end, and this server does not go back" in str(caught.value)


@pytest.mark.parametrize("what", ["sound", "pictures", "both"])
def test_leaping_time_stamps_give_the_same_from_a_file_and_a_pipe(
    recognizer: Recognizer, clip: Path, tmp_path: Path, what: str
) -> None:
    """One stamp that leaps by hours, and a count that begins anew for sound and pictures."""
    right, damaged = tmp_path / "right.ts", tmp_path / "damaged.ts"
    damaged.write_bytes(remuxed(clip, right))
    if what == "both":
        restamp(damaged, VIDEO_IDS, lambda n, time_s: time_s + (500 if n >= 20 else 0))
        restamp(damaged, AUDIO_IDS, lambda n, time_s: time_s + (500 if time_s >= 3.4 else 0))
    else:
        ids = AUDIO_IDS if what == "sound" else VIDEO_IDS
        restamp(damaged, ids, lambda n, time_s: time_s + (11_930 if n == 8 else 0))
    expected = decided(session(recognizer, right))
    results = decided(session(recognizer, damaged))
    assert len(results) == 5
    assert_same(results, expected)
    assert any("time stamps" in note for result in results for note in result.notes)
    with piped(tmp_path, damaged.read_bytes()) as path:
        opened = session(recognizer, path)
        assert_same(decided(opened), expected)
    assert opened.stream.counts.jumps == 2


def test_raw_sound_from_a_pipe(recognizer: Recognizer, tmp_path: Path) -> None:
    wave = swell(np.arange(8000 * 3) / 8000)
    with piped(tmp_path, np.round(wave * 32_767).astype("<i2").tobytes()) as path:
        raw = parse_source(str(path), "s16le:sample_rate=8000:ch_layout=mono")
        with Session(recognizer, raw, SessionOptions(SAID, 3)) as opened:
            results = list(opened.results())
    file = tmp_path / "same.wav"
    write_media(file, voice=Voice("pcm_s16le", 8000, duration_s=3.0, wave=swell))
    assert len(results) == 3
    # The two round their samples differently.
    assert_same(results, offline(recognizer, file, results), 1e-4)


def test_a_file_in_real_time_takes_its_time(recognizer: Recognizer, tmp_path: Path) -> None:
    path = clip_file(tmp_path / "clip.mp4", 2.0)
    opened = session(recognizer, path, SessionOptions(SAID, 3, realtime=True))
    began_s = time.perf_counter()
    results = decided(opened)
    assert time.perf_counter() - began_s > 1.8  # a busy machine takes longer, never less
    assert opened.stream.counts.dropped_frames == 0
    assert_same(results, offline(recognizer, path, results))


def test_a_live_url_gives_the_offline_decisions(
    recognizer: Recognizer, clip: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.ts"
    with serving([remuxed(clip, copy)], seconds=1.5) as (url, _):
        opened = session(recognizer, url, SessionOptions(SAID, 3, reconnect=0))
        results = []
        with opened, pytest.raises(MerEdgeError, match="did not come back in 0 attempts"):
            for result in opened.results():
                results.append(result)
    assert len(results) == 5
    assert opened.stream.counts.dropped_frames == 0
    assert_same(results, offline(recognizer, copy, results))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "FIRST_DELAY_S", 0.02)


@pytest.mark.usefixtures("impatient")
def test_a_source_that_vanishes_is_named_and_what_was_decided_is_out(
    recognizer: Recognizer, clip: Path, tmp_path: Path
) -> None:
    data = remuxed(clip, tmp_path / "copy.ts")
    with serving([data[: len(data) * 3 // 5]], seconds=0.6) as (url, server):
        opened = session(recognizer, url, SessionOptions(SAID, 3, reconnect=2))
        results: list[Result] = []
        with opened, pytest.raises(MerEdgeError) as caught:
            results.extend(opened.results())
    assert server.connections == 3
    assert str(caught.value).startswith(f"{url}: the source was lost (")
    assert "did not come back in 2 attempts" in str(caught.value)
    assert 2 <= len(results) <= 4


@pytest.mark.usefixtures("impatient")
def test_a_lost_source_is_found_again(recognizer: Recognizer, clip: Path, tmp_path: Path) -> None:
    data = remuxed(clip, tmp_path / "copy.ts")
    with serving([data[: len(data) // 2], data], seconds=0.8) as (url, server):
        opened = session(recognizer, url, SessionOptions(SAID, 3, reconnect=1))
        results: list[Result] = []
        with opened, pytest.raises(MerEdgeError, match="in 1 attempts"):
            results.extend(opened.results())
    assert server.connections == 3
    counts = opened.stream.counts
    assert counts.reconnects == 1
    assert counts.decisions == len(results)
    again = next(i for i, result in enumerate(results) if i and result.segments == 1)
    before, after = results[again - 1], results[again]
    assert 2 <= again <= 3
    assert len(results) - again in (4, 5)
    assert after.start_s - before.end_s == pytest.approx(counts.gap_s, abs=0.96)
    assert any("found again 1 times" in note for note in after.notes)


@pytest.mark.usefixtures("impatient")
def test_the_silence_in_which_a_source_is_lost_is_in_the_gap(
    recognizer: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "READ_TIMEOUT_S", 1.2)
    data = remuxed(clip_file(tmp_path / "clip.mp4", 4.0), tmp_path / "copy.ts")
    with silent_after([data, data]) as url:
        opened = session(recognizer, url, SessionOptions(SAID, 3, reconnect=1))
        results: list[Result] = []
        with opened, pytest.raises(MerEdgeError, match="did not come back in 1 attempts"):
            results.extend(opened.results())
    again = next(result for result in results[1:] if result.segments == 1)
    assert again.start_s >= 4.0 + 1.2
    assert opened.stream.counts.gap_s > 1.0


def test_damage_in_the_middle_is_counted_and_passed_by(
    recognizer: Recognizer, clip: Path, tmp_path: Path
) -> None:
    data = bytearray(remuxed(clip, tmp_path / "copy.ts"))
    noise = np.random.default_rng(0).integers(0, 256, len(data) // 6, np.uint8)
    # Inside the packets of 188 bytes: their headers stay, what they carry does not.
    start = len(data) // 3
    for place, value in enumerate(noise, start):
        if place % 188 > 30:
            data[place] = value
    with piped(tmp_path, bytes(data)) as path:
        opened = session(recognizer, path)
        results = decided(opened)
    counts = opened.stream.counts
    assert len(results) == 5
    assert counts.failed_packets + counts.flawed_frames > 0
    assert any("could not be decoded" in n or "damaged" in n for r in results for n in r.notes)
    # What came before is as it was.
    whole = decided(session(recognizer, tmp_path / "copy.ts"))
    assert_same(results[:1], whole[:1])


def test_another_size_and_sample_rate_midway(recognizer: Recognizer, tmp_path: Path) -> None:
    parts = []
    for number, (size, rate_hz) in enumerate([((160, 120), 48_000), ((320, 180), 44_100)]):
        path = tmp_path / f"{number}.ts"
        picture = Picture(size=size, frames=30, rate_hz=10.0, start_s=3.0 * number)
        voice = Voice("aac", rate_hz, duration_s=3.0, start_s=3.0 * number, wave=swell)
        parts.append(write_media(path, picture, voice, options={"mpegts_copyts": "1"}))
    with piped(tmp_path, b"".join(part.read_bytes() for part in parts)) as path:
        opened = session(recognizer, path)
        results = decided(opened)
    assert opened.stream.counts.changes == 2
    assert opened.stream.counts.failed_packets == 0
    assert len(results) == 6
    assert [result.face_segments for result in results] == [1, 2, 3, 3, 3, 3]
    assert [result.audio_segments for result in results] == [1, 2, 3, 3, 3, 3]
    notes = [note for result in results for note in result.notes]
    assert "The picture's size or the sound's format changed 2 times so far." in notes


class Slow(Grey):
    """As slow as a small board with a large picture."""

    def detect(self, frame_rgb: NDArray[np.uint8]) -> list[Face]:
        time.sleep(0.6)
        return super().detect(frame_rgb)


def test_slow_inference_drops_frames_and_says_so(recognizer: Recognizer, tmp_path: Path) -> None:
    """Ten seconds come in two: a frame to look at every 0.2 s, where looking takes 0.6 s."""
    data = remuxed(clip_file(tmp_path / "clip.mp4", 10.0), tmp_path / "copy.ts")
    with serving([data], seconds=2.0) as (url, _):
        options = SessionOptions(SAID, 3, reconnect=0)
        opened = Session(recognizer, parse_source(url), options, detector=Slow())
        results: list[Result] = []
        with opened, pytest.raises(MerEdgeError):
            results.extend(opened.results())
    counts = opened.stream.counts
    assert len(results) == 10
    assert 2 <= counts.dropped_frames <= 8
    assert counts.dropped_sound_s == 0
    assert results[-1].audio_segments == 3
    looked = sum(_new_faces(results))
    assert looked == 10 - counts.dropped_frames
    assert any("frames to look at were dropped so far" in n for r in results for n in r.notes)


def _new_faces(results: Sequence[Result]) -> list[int]:
    """Whether each segment had a face, from how many the windows of three had."""
    had: list[int] = []
    for result in results:
        had.append(result.face_segments - sum(had[-2:]))
    return had


def test_packets_over_udp(
    recognizer: Recognizer, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket
    import threading

    monkeypatch.setattr(source, "READ_TIMEOUT_S", 1.0)
    data = remuxed(clip, tmp_path / "copy.ts")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            time.sleep(0.5)
            for start in range(0, len(data), 188 * 7):
                sender.sendto(data[start : start + 188 * 7], ("127.0.0.1", port))
                time.sleep(3.0 * 188 * 7 / len(data))

    threading.Thread(target=send, daemon=True).start()
    url = f"udp://127.0.0.1:{port}"
    opened = session(recognizer, url, SessionOptions(SAID, 3, reconnect=0))
    results: list[Result] = []
    with opened, pytest.raises(MerEdgeError, match=r"nothing came for 1 s"):
        results.extend(opened.results())
    assert_same(results, offline(recognizer, tmp_path / "copy.ts", results))
    assert len(results) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (SessionOptions(ClipOptions(frame_rate_hz=5.0)), "--frame-rate was given"),
        (SessionOptions(SAID, window_segments=7), "a window of 7 segments"),
    ],
)
def test_options_that_do_not_fit(
    recognizer: Recognizer, clip: Path, options: SessionOptions, message: str
) -> None:
    with pytest.raises(MerEdgeError) as caught:
        session(recognizer, clip, options)
    assert message in str(caught.value)


def test_this_ffmpeg_has_what_the_sources_need() -> None:
    known = {name for entry in av.formats_available for name in entry.split(",")}
    assert {"mpegts", "matroska", "rtsp", "s16le", "rawvideo"} <= known
