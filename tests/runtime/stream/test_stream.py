"""Stream as a program uses it: arrays in, decisions out, nothing computed twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mer_edge.bundle import Bundle
from mer_edge.clip import Clip
from mer_edge.errors import MerEdgeError
from mer_edge.evidence import Evidence
from mer_edge.media.scan import scan_media
from mer_edge.media.sound import SoundReader
from mer_edge.result import Result
from runtime.recognizer import Recognizer
from runtime.stream import Stream
from tests.grey_detector import Grey
from tests.runtime.stream.media import Counting, counted, difference, swell

RATE_HZ = 16_000
SEGMENT = 15_360
SPEECH = Path(__file__).parents[2] / "data" / "speech" / "speech.flac"


def samples(seconds: float) -> NDArray[np.float32]:
    return swell(np.arange(round(seconds * RATE_HZ)) / RATE_HZ).astype(np.float32)


def grey(level: int) -> NDArray[np.uint8]:
    return np.full((120, 160, 3), level, np.uint8)


def feed(
    stream: Stream, sound: NDArray[np.float32], *, ahead: bool = False, step: int = 1600
) -> Iterator[Result]:
    """Sound in pieces of 0.1 s, and at each a frame that is as grey as the time."""
    for start in range(0, len(sound), step):
        stream.add_frame(grey(20 + start // step), start / RATE_HZ)
        stream.add_audio(sound[start : start + step], RATE_HZ)
        if ahead:
            while stream.work_ahead():
                pass
        yield from stream.results()


def as_clip(sound: NDArray[np.float32], first: int, last: int, text: str | None) -> Clip:
    """The clip of the segments from ``first`` to before ``last``, made by hand."""
    end = min(last * SEGMENT, len(sound))
    padded = np.concatenate([sound[first * SEGMENT : end], np.zeros(SEGMENT, np.float32)])
    waveform = np.stack([padded[i * SEGMENT : i * SEGMENT + 15_600] for i in range(last - first)])
    # The frame shown in the middle of segment i began at the last full 0.1 s before it.
    levels = [20 + int((i * 0.96 + 0.48) * 10 + 1e-6) for i in range(first, last)]
    faces = np.stack([np.full((224, 224, 3), level, np.uint8) for level in levels])
    present = np.ones(last - first, np.bool_)
    return Clip(text, waveform, faces, present, present)


def visible(recognizer: Recognizer, clip: Clip, found: Result) -> float:
    """How far a result is from the clip's, crops aside: the detector's crops have black edges."""
    (expected,) = recognizer.run_batch([clip])
    alone = found.modalities["audio"].probabilities, expected.modalities["audio"].probabilities
    assert alone[0] is not None
    assert alone[1] is not None
    return max(abs(alone[0][label] - alone[1][label]) for label in alone[1])


@pytest.mark.parametrize("ahead", [False, True])
def test_a_decision_at_the_end_of_every_segment(recognizer: Recognizer, ahead: bool) -> None:
    sound = samples(5 * 0.96)
    stream = Stream(recognizer, 3, text="good day", detector=Grey())
    results = list(feed(stream, sound, ahead=ahead))
    assert [result.segments for result in results] == [1, 2, 3, 3, 3]
    assert [round(result.start_s, 2) for result in results] == [0, 0, 0, 0.96, 1.92]
    assert [round(result.end_s, 2) for result in results] == [0.96, 1.92, 2.88, 3.84, 4.8]
    for result in results:
        assert result.face_segments == result.audio_segments == result.segments
        first, last = round(result.start_s / 0.96), round(result.end_s / 0.96)
        # The window's last segment has zeros where the next one's sound is, as a clip's last has.
        clip = as_clip(sound[: last * SEGMENT], first, last, "good day")
        assert visible(recognizer, clip, result) < 1e-6
    assert list(stream.finish()) == []


def test_working_ahead_changes_when_and_not_what(recognizer: Recognizer) -> None:
    sound = samples(6 * 0.96)
    runs = [
        list(feed(Stream(recognizer, 4, text="bad day", detector=Grey()), sound, ahead=ahead))
        for ahead in (False, True)
    ]
    assert len(runs[0]) == 6
    for one, other in zip(*runs, strict=True):
        assert difference(one, other) == 0.0


@pytest.fixture
def watched(bundle: Bundle) -> tuple[Recognizer, dict[str, Counting]]:
    recognizer = Recognizer(bundle, threads=1)
    return recognizer, counted(recognizer)


def test_only_the_new_segment_is_encoded(
    watched: tuple[Recognizer, dict[str, Counting]],
) -> None:
    recognizer, graphs = watched
    detector = Grey()
    stream = Stream(recognizer, 4, text="good day", detector=detector)
    assert len(list(feed(stream, samples(8 * 0.96)))) == 8
    assert graphs["text"].rows == [1]
    assert sum(graphs["visual"].rows) == 8
    # Sound twice: when a segment is the newest, and when the 240 samples after it are known.
    assert sum(graphs["audio"].rows) == 8 + 7
    assert len(graphs["fusion"].rows) == 8
    # The last segment's picture is known only when the next frame comes.
    assert detector.calls == 8


def test_sound_without_a_voice_has_no_say_where_the_bundle_wants_one(
    recognizer: Recognizer, bundle: Bundle
) -> None:
    rule = replace(bundle.manifest, evidence=Evidence(voice=True, min_face_px=20.0))
    choosy = Recognizer(replace(bundle, manifest=rule))
    scan = scan_media(SPEECH)
    speech = SoundReader(SPEECH, scan).read(0.0, 1.92).samples
    sound = np.concatenate([samples(1.92), speech, samples(0.96)])
    heard = [result.audio_segments for result in feed(Stream(choosy, 1, detector=Grey()), sound)]
    assert heard == [0, 0, 1, 1, 0]
    everything = Stream(recognizer, 1, detector=Grey())
    assert [result.audio_segments for result in feed(everything, sound)] == [1] * 5


def test_a_face_too_small_to_read_has_no_say(bundle: Bundle) -> None:
    sound = samples(0.96)
    for least_px, present in ((20.0, 1), (200.0, 0)):
        rule = replace(bundle.manifest, evidence=Evidence(min_face_px=least_px))
        stream = Stream(Recognizer(replace(bundle, manifest=rule)), 1, detector=Grey())
        (result,) = feed(stream, sound)
        assert result.face_segments == present


def test_a_new_text_runs_the_text_once_and_the_kept_segments_again(
    watched: tuple[Recognizer, dict[str, Counting]],
) -> None:
    recognizer, graphs = watched
    stream = Stream(recognizer, 6, text="good day", detector=Grey())
    sound = samples(8 * 0.96)
    first = list(feed(stream, sound[: 6 * SEGMENT + 800]))
    before = {name: sum(graph.rows) for name, graph in graphs.items()}
    stream.set_text("bad day")
    while stream.work_ahead():
        pass
    assert sum(graphs["text"].rows) == before["text"] + 1
    # Five of the six stay in the next window; its sixth is not there yet.
    assert sum(graphs["audio"].rows) == before["audio"] + 5
    assert sum(graphs["visual"].rows) == before["visual"] + 5
    stream.add_audio(sound[6 * SEGMENT + 800 : 7 * SEGMENT], RATE_HZ)
    stream.add_frame(grey(99), 7.0)
    (result,) = stream.results()
    assert [result.text for result in first] == ["good day"] * 6
    assert result.text == "bad day"
    clip = as_clip(sound[: 7 * SEGMENT], 1, 7, "bad day")
    assert visible(recognizer, clip, result) < 1e-6


def test_texts_hold_from_their_time_on(recognizer: Recognizer) -> None:
    stream = Stream(recognizer, 2, detector=Grey())
    stream.set_text("good", 1.0)
    stream.set_text("bad", 2.0)
    stream.set_text(None, 3.0)
    texts = [result.text for result in feed(stream, samples(4 * 0.96))]
    assert texts == [None, "good", "bad", None]


def test_any_rate_layout_and_type(recognizer: Recognizer) -> None:
    times = np.arange(2 * 48_000) / 48_000
    wave = swell(times)
    sounds = [
        (samples(2.0), 16_000),
        (wave.astype(np.float32), 48_000),
        (np.stack([wave, wave]), 48_000),
        (np.round(wave * 32_768).astype(np.int16), 48_000),
        (np.stack([np.round(wave * 2**31)] * 5).astype(np.int32), 48_000),
    ]
    said = []
    for sound, rate_hz in sounds:
        stream = Stream(recognizer, 2, expects=["audio"])
        stream.add_audio(sound, rate_hz)
        said.append(list(stream.results())[-1].probabilities["happy"])
    assert max(said) - min(said) < 1e-4


def test_a_last_part_of_half_a_segment_counts(recognizer: Recognizer) -> None:
    for seconds, count in ((1.3, 1), (1.5, 2), (0.3, 1)):
        stream = Stream(recognizer, 2, expects=["audio"])
        stream.add_audio(samples(seconds), RATE_HZ)
        results = [*stream.results(), *stream.finish()]
        assert len(results) == count
    assert results[-1].end_s == pytest.approx(0.3)


def test_pictures_alone_make_decisions_too(recognizer: Recognizer) -> None:
    stream = Stream(recognizer, 2, expects=["visual"], detector=Grey())
    results = []
    for number in range(30):
        stream.add_frame(grey(20 + number), number / 10)
        results += stream.results()
    assert [result.face_segments for result in results] == [1, 2, 2]
    assert [result.audio_segments for result in results] == [0, 0, 0]


def test_who_falls_behind_is_not_waited_for(recognizer: Recognizer) -> None:
    """A camera that freezes after a second: decisions go on by the sound, a second later."""
    stream = Stream(recognizer, 2, text="good day", detector=Grey())
    for number in range(10):
        stream.add_frame(grey(20 + number), number / 10)
    counts = []
    for start in range(0, 6 * RATE_HZ, 1600):
        stream.add_audio(samples(6)[start : start + 1600], RATE_HZ)
        counts.append(sum(1 for _ in stream.results()))
    ends = [round((number + 1) * 0.1, 1) for number, count in enumerate(counts) if count]
    # The first has its picture; the second was waited for until 1.92 + 1 s; then nobody is.
    assert ends == [1.0, 3.0, 3.9, 4.8, 5.8]
    assert sum(counts) == 6


def test_a_gap_starts_a_new_window(recognizer: Recognizer) -> None:
    stream = Stream(recognizer, 3, expects=["audio"])
    stream.add_audio(samples(2.0), RATE_HZ)
    before = [*stream.results(), *stream.finish()]
    stream.restart(10.0)
    stream.add_audio(samples(3.0), RATE_HZ, at_s=10.0)
    after = list(stream.results())
    assert [round(result.end_s, 2) for result in before] == [0.96, 1.92]
    # 10.56 s is the first segment's start at 10 s or later.
    assert [round(result.start_s, 2) for result in after] == [10.56, 10.56]
    assert [result.segments for result in after] == [1, 2]
    assert stream.counts.gap_s == pytest.approx(10.56 - 1.92)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda r: Stream(r, 0), "a window of 0 segments; expected 1 to 6"),
        (lambda r: Stream(r, 7), "a window of 7 segments"),
        (lambda r: Stream(r, expects=[]), "neither sound nor pictures"),
        (lambda r: Stream(r, face=0), "--face 0"),
        (lambda r: Stream(r, expects=["audio"], face=2), "--face 2 where no faces"),
        (lambda r: Stream(r, text=" "), "text is empty"),
        (lambda r: Stream(r).add_audio(np.zeros(4, np.complex64), 16_000), "complex64"),
        (lambda r: Stream(r).add_audio(np.zeros((2, 2, 2), np.float32), 16_000), "(2, 2, 2)"),
        (lambda r: Stream(r).add_audio(np.zeros(0, np.float32), 16_000), "(0,)"),
        (lambda r: Stream(r).add_audio(np.zeros(4, np.float32), 0), "0 Hz"),
        (lambda r: Stream(r).add_audio(np.zeros(4, np.float32), 8000, layout="x"), "'x'"),
        (lambda r: Stream(r).add_frame(np.zeros((4, 4), np.float32), 0.0), "float32"),
    ],
)
def test_what_cannot_be_is_told(recognizer: Recognizer, make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(MerEdgeError) as caught:
        make(recognizer)
    assert message in str(caught.value)


def test_samples_beside_channels_are_not_taken_for_channels(recognizer: Recognizer) -> None:
    stream = Stream(recognizer, 3, detector=Grey())
    stereo = np.stack([samples(1.0)] * 2)
    with pytest.raises(MerEdgeError, match=r"\(16000, 2\), which is 16000 channels; .* samples\.T"):
        stream.add_audio(stereo.T, RATE_HZ)
    stream.add_audio(stereo, RATE_HZ)


@pytest.mark.parametrize("time_s", [float("nan"), float("inf"), 1.7e9])
def test_times_of_another_clock_are_refused(recognizer: Recognizer, time_s: float) -> None:
    stream = Stream(recognizer, 3, detector=Grey())
    told = r"found at_s .* where the stream is at 0\.00 s; expected seconds from its beginning"
    with pytest.raises(MerEdgeError, match=told):
        stream.add_audio(samples(0.1), RATE_HZ, at_s=time_s)
    with pytest.raises(MerEdgeError, match=told):
        stream.add_frame(grey(9), time_s)
    assert list(stream.results()) == []
    if not np.isfinite(time_s):
        with pytest.raises(MerEdgeError, match="found from_s"):
            stream.set_text("good day", from_s=time_s)
