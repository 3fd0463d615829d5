"""Damaged time stamps, counts that begin anew, and pauses: real MPEG-TS files, changed bytes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_edge.clips import ClipOptions, load_clips
from mer_edge.media.mending import Mending, mend_stamps
from mer_edge.media.scan import scan_media
from mer_edge.media.source import open_media
from mer_edge.media.stamps import StampLog
from tests.media_files import Picture, Voice, number_of, write_media
from tests.transport_stream import AUDIO_IDS, VIDEO_IDS, WRAP_S, blank, restamp

LENGTH_S = 6.0
LEAPS_S = [1000.0, -1000.0, 11_930.46, 50_000.0, 3.0, -2.0]
TIMES_S = [0.03, 0.5, 1.5, 2.41, 2.5, 2.98, 3.5, 4.5, 5.5, 5.98]


@pytest.fixture(scope="module")
def right(tmp_path_factory) -> Path:
    """Six seconds with frames that are shown in another order than they are decoded."""
    picture = Picture(frames=150, options={"bf": "2", "g": "25"})
    path = tmp_path_factory.mktemp("right") / "right.ts"
    return write_media(path, picture, Voice(duration_s=LENGTH_S))


@pytest.fixture
def damaged(right, tmp_path) -> Path:
    return shutil.copy(right, tmp_path / "damaged.ts")


@cache
def contents(path: Path) -> tuple[float, list[int | None], np.ndarray, tuple[str, ...]]:
    """Duration, frame numbers at ``TIMES_S``, sound, notes."""
    with open_media(path) as media:
        pictures = [media.frames.picture_at(time_s) for time_s in TIMES_S]
        numbers = [None if shown is None else number_of(shown.pixels) for shown in pictures]
        sound = media.sound.read(0, media.duration_s)
        return media.duration_s, numbers, sound.samples, media.notes()


def once(number: int, by_s: float) -> Callable[[int, float], float]:
    return lambda n, time_s: time_s + by_s if n == number else time_s


def lasting(number: int, by_s: float) -> Callable[[int, float], float]:
    return lambda n, time_s: time_s + by_s if n >= number else time_s


def assert_same(path: Path, right: Path) -> str:
    """The same pictures and samples as of the undamaged file; returns the one note."""
    duration_s, numbers, samples, notes = contents(path)
    right_s, right_numbers, right_samples, right_notes = contents(right)
    assert duration_s == pytest.approx(right_s, abs=1e-4)
    assert numbers == right_numbers
    assert None not in numbers
    assert np.array_equal(samples, right_samples)
    assert right_notes == ()
    (note,) = notes
    return note


@pytest.mark.parametrize("number", [0, 100])
@pytest.mark.parametrize("by_s", LEAPS_S)
def test_one_stamp_of_the_sound(right, damaged, number, by_s):
    restamp(damaged, AUDIO_IDS, once(number, by_s))
    note = assert_same(damaged, right)
    assert note.startswith("1 of 283 audio packets have damaged time stamps")


@pytest.mark.parametrize("by_s", LEAPS_S)
@pytest.mark.parametrize("which", ["both", "presentation", "decoding"])
def test_one_stamp_of_the_picture(right, damaged, which, by_s):
    restamp(
        damaged,
        VIDEO_IDS,
        once(60, by_s),
        presentation=which != "decoding",
        decoding=which != "presentation",
    )
    note = assert_same(damaged, right)
    assert note.startswith("1 of 150 video packets have damaged time stamps")


@pytest.mark.parametrize("by_s", [1000.0, -1000.0])
@pytest.mark.parametrize("decoding", [True, False])
def test_the_first_stamp_of_the_picture(right, damaged, decoding, by_s):
    restamp(damaged, VIDEO_IDS, once(0, by_s), decoding=decoding)
    assert "1 of 150 video packets" in assert_same(damaged, right)


@pytest.mark.parametrize("kind", ["audio", "video"])
@pytest.mark.parametrize("by_s", [1000.0, -1000.0])
def test_the_last_stamp(right, damaged, kind, by_s):
    ids, last = (AUDIO_IDS, 282) if kind == "audio" else (VIDEO_IDS, 149)
    restamp(damaged, ids, lasting(last, by_s))
    assert "begin a new count once" in assert_same(damaged, right)


@pytest.mark.parametrize("by_s", [1000.0, -1000.0, -2.0, 50_000.0])
def test_a_new_count_of_both(right, damaged, by_s):
    """As where a camera starts again: picture 75 and the sound of that moment."""
    restamp(damaged, VIDEO_IDS, lasting(75, by_s))
    restamp(damaged, AUDIO_IDS, lasting(141, by_s))
    note = assert_same(damaged, right)
    assert note.startswith("The time stamps begin a new count once, at 2.9")


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_a_new_count_of_one(right, damaged, kind):
    """Nothing says how the two lie to each other any more: each goes on."""
    ids, number = (AUDIO_IDS, 100) if kind == "audio" else (VIDEO_IDS, 75)
    restamp(damaged, ids, lasting(number, 1000.0))
    assert "a new count once" in assert_same(damaged, right)


@pytest.mark.parametrize("before_s", [3.0, 100.0])
def test_the_count_of_33_bits_overflows(right, damaged, before_s):
    """FFmpeg puts this right by itself, whatever the file begins with."""
    for ids in (AUDIO_IDS, VIDEO_IDS):
        restamp(damaged, ids, lambda n, time_s: time_s + WRAP_S - before_s)
    duration_s, numbers, samples, notes = contents(damaged)
    right_s, right_numbers, right_samples, _ = contents(right)
    assert (round(duration_s, 4), numbers, notes) == (round(right_s, 4), right_numbers, ())
    assert np.array_equal(samples, right_samples)


def test_damage_and_a_new_count(right, damaged):
    restamp(damaged, VIDEO_IDS, lasting(75, 500.0))
    restamp(damaged, AUDIO_IDS, lasting(141, 500.0))
    restamp(damaged, AUDIO_IDS, once(30, 1000.0))
    restamp(damaged, AUDIO_IDS, once(200, -200.0))
    restamp(damaged, VIDEO_IDS, once(100, 7.0))
    with open_media(damaged) as media:
        notes = media.notes()
        assert media.duration_s == pytest.approx(6.037, abs=1e-3)
        assert np.array_equal(media.sound.read(0, media.duration_s).samples, contents(right)[2])
    assert [note.split(" have")[0] for note in notes[:2]] == [
        "1 of 150 video packets",
        "2 of 283 audio packets",
    ]
    assert "a new count once" in notes[2]


def test_joined_files_stay_in_step(right, tmp_path):
    """Three parts, the middle one without sound; the sound of the third lies with its pictures."""
    silent = write_media(tmp_path / "silent.ts", Picture(frames=50))
    path = tmp_path / "joined.ts"
    path.write_bytes(right.read_bytes() + silent.read_bytes() + right.read_bytes())
    with open_media(path) as media:
        assert media.duration_s == pytest.approx(14.04, abs=0.05)
        sound = media.sound.read(0, media.duration_s)
        notes = media.notes()
    assert "a new count 2 times, first at 5.94 s" in notes[0]
    begins = np.flatnonzero(np.diff(sound.covered.astype(int)))
    pause_s = np.diff(begins) / 16_000
    # Sound begins 21 ms before the pictures, and ends 37 ms after them.
    assert pause_s == pytest.approx(
        [
            2.0 - 0.037 + 0.0,
        ],
        abs=0.06,
    )


def test_a_pause_of_one_stream_is_no_new_count(tmp_path):
    """Sound that is away for 16 s while the pictures go on, as in a broadcast."""
    path = write_media(tmp_path / "pause.ts", Picture(frames=120, rate_hz=5), Voice(duration_s=24))
    share = blank(path, AUDIO_IDS, 4.0, 20.0)
    assert 0.6 < share < 0.7
    with open_media(path) as media:
        assert media.duration_s == pytest.approx(24, abs=0.1)
        covered = media.sound.read(0, 24).covered
        assert media.notes() == ()
    assert covered[: int(3.8 * 16_000)].all()
    assert not covered[int(4.5 * 16_000) : int(19.5 * 16_000)].any()
    assert covered[int(20.5 * 16_000) : int(23.9 * 16_000)].all()


def test_a_clip_of_a_damaged_file(right, damaged):
    """What was four windows of an hour each is the clip it was."""
    restamp(damaged, AUDIO_IDS, once(8, 11_930.46))
    (clip,) = load_clips(damaged, ClipOptions(modalities=("audio",)))
    (wanted,) = load_clips(right, ClipOptions(modalities=("audio",)))
    assert clip.segments == wanted.segments == 6
    assert np.array_equal(clip.waveform, wanted.waveform)
    assert any("1 of 283 audio packets" in note for note in clip.notes)


SLIDES = Picture(times_s=[0, 0.4, 15, 15.04, 70, 70.5], options={"bf": "0"})


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_slides_a_minute_apart_are_not_damage(tmp_path, name):
    """A container whose stamps only go on may pause as long as it likes."""
    scan = scan_media(write_media(tmp_path / name, SLIDES, Voice(duration_s=1)))
    assert scan.duration_s == pytest.approx(70.5, abs=1)
    assert not scan.video.mend
    assert scan.notes == ()


# Properties, on the packets of any stream.

UNIT_S = 1 / 90_000


def logged(stamps: list[tuple[float, float]], video: bool) -> Mending:
    """What is found in packets of 0.04 s with these decoding and presentation times, seconds."""
    log = StampLog(UNIT_S, 3600, reorders=video, strict=True)
    for arrived, (dts_s, pts_s) in enumerate(stamps):
        ticks = {"dts": round(dts_s / UNIT_S), "pts": round(pts_s / UNIT_S), "duration": 3600}
        log.add(SimpleNamespace(**ticks), arrived)
    log.finish()
    return mend_stamps([log], may_restart=True)


def mended_dts_s(mending: Mending, stamps: list[tuple[float, float]]) -> list[float]:
    (stream,) = mending.streams
    packets = [
        SimpleNamespace(dts=round(dts / UNIT_S), pts=round(pts / UNIT_S), size=1)
        for dts, pts in stamps
    ]
    return [packet.dts * UNIT_S for packet in stream.mend().applied(iter(packets))]


steps = st.lists(st.one_of(st.just(0.04), st.floats(0.0, 9.0)), min_size=1, max_size=60)


@settings(max_examples=100, deadline=None)
@given(steps=steps, start_s=st.floats(0, 90_000), late=st.integers(0, 16), video=st.booleans())
def test_times_that_only_go_on_are_left_alone(steps, start_s, late, video):
    dts_s = list(start_s + np.cumsum([0.0, *steps]))
    # Shown when the packet ``late`` further is decoded, as a decoder that reorders needs it.
    pts_s = [dts_s[min(n + late, len(dts_s) - 1)] if video else t for n, t in enumerate(dts_s)]
    mending = logged(list(zip(dts_s, pts_s, strict=True)), video)
    assert not mending.streams[0].mend()
    assert mending.notes(["video"], 0.0) == ()


@settings(max_examples=100, deadline=None)
@given(
    packets=st.integers(3, 200),
    at=st.floats(0, 1),
    length=st.integers(1, 50),
    by_s=st.one_of(st.floats(2.5, 95_000), st.floats(-95_000, -2.5)),
)
def test_an_island_is_put_back(packets, at, length, by_s):
    """Up to two seconds anywhere but at both ends, whatever they say."""
    right_s = [1.4 + 0.04 * n for n in range(packets + length)]
    first = 1 + int(at * (packets - 2))
    shifted = range(first, first + length)
    stamps = [(t + by_s, t + by_s) if n in shifted else (t, t) for n, t in enumerate(right_s)]
    mending = logged(stamps, video=False)
    assert mended_dts_s(mending, stamps) == pytest.approx(right_s, abs=2 * UNIT_S)
    assert mending.streams[0].damaged_packets == length
    assert mending.new_counts_s == ()


@pytest.mark.parametrize("seed", range(24))
def test_scattered_damage_leaves_the_length(right, damaged, seed):
    """300 bytes anywhere in the middle: stamps, lengths, and streams that FFmpeg then invents."""
    random = np.random.default_rng(seed)
    data = bytearray(damaged.read_bytes())
    for place in random.integers(len(data) // 5, len(data) * 4 // 5, 300):
        data[place] = random.integers(256)
    damaged.write_bytes(data)
    with open_media(damaged) as media:
        assert media.duration_s == pytest.approx(6.04, abs=1.0)
        for second in range(5):
            media.frames.picture_at(second + 0.5)
            media.sound.read(second, second + 1)
