import pytest

from mer_edge.errors import MerEdgeError
from mer_edge.text.subtitles import Utterance, embedded_subtitles

CUES = [(1000, 2500, "Hello {\\i1}big{\\i0}\\Nworld & co"), (3000, 4000, "Bye")]
UTTERANCES = [Utterance(1.0, 2.5, "Hello big world & co"), Utterance(3.0, 4.0, "Bye")]


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "mov_text"),
        ("a.mov", "mov_text"),
        ("a.mkv", "subrip"),
        ("a.mkv", "ass"),
        ("a.mkv", "webvtt"),
        ("a.webm", "webvtt"),
    ],
)
def test_every_text_codec(mux, name, codec):
    found = embedded_subtitles(mux(name, (codec, CUES)))
    # 20 ms: with Opus the sound, and with it the clock, starts after the codec's first packet.
    assert [u.text for u in found] == [u.text for u in UTTERANCES]
    for utterance, expected in zip(found, UTTERANCES, strict=True):
        assert utterance.start_s == pytest.approx(expected.start_s, abs=0.02)
        assert utterance.end_s == pytest.approx(expected.end_s, abs=0.02)


def test_times_are_on_the_clock_of_the_sound(mux):
    cues = [(1000, 2000, "over before it"), (4000, 5500, "across"), (6000, 7500, "Hello")]
    first, second = embedded_subtitles(mux("late.mkv", ("subrip", cues), start_s=5))
    assert first == Utterance(0.0, pytest.approx(0.5), "across")
    assert second == Utterance(pytest.approx(1.0), pytest.approx(2.5), "Hello")


def test_the_default_stream_is_preferred_to_the_first(mux):
    first, second = [(0, 1000, "first")], [(0, 1000, "second")]
    default = mux("a.mkv", ("subrip", first), ("ass", second, True))
    assert [u.text for u in embedded_subtitles(default)] == ["second"]
    none_default = mux("b.mkv", ("subrip", first), ("ass", second))
    assert [u.text for u in embedded_subtitles(none_default)] == ["first"]


def test_pictures_are_not_text(mux):
    bitmap = ("dvd_subtitle", [(1000, 2000, b"\x00\x04\x00\x02")], True)
    assert embedded_subtitles(mux("bitmap.mkv", bitmap)) is None
    assert embedded_subtitles(mux("both.mkv", bitmap, ("subrip", CUES))) == UTTERANCES


def test_no_stream_and_no_word_are_none(mux):
    assert embedded_subtitles(mux("plain.mp4")) is None
    assert embedded_subtitles(mux("empty.mkv", ("subrip", [(1000, 2000, "{\\i1}{\\i0}")]))) is None


def test_a_drawing_is_not_text(mux):
    drawn = [(1000, 2000, "{\\p1}m 0 0 l 9 9{\\p0}"), (1500, 3000, "said")]
    assert embedded_subtitles(mux("a.mkv", ("ass", drawn))) == [Utterance(1.5, 3.0, "said")]


def test_overlap_is_the_same_error_with_another_way_out(mux):
    path = mux("a.mkv", ("subrip", [(1000, 3000, "a"), (2000, 4000, "b")]))
    with pytest.raises(MerEdgeError) as error:
        embedded_subtitles(path)
    assert str(error.value).startswith(
        "a.mkv: embedded subtitles: cue 1 (00:00:01.000 to 00:00:03.000) and cue 2 "
        "(00:00:02.000 to 00:00:04.000) overlap by 1.000 s;"
    )
    assert str(error.value).endswith("or choose the text with --text-file, --text or --no-text")


def test_a_cue_of_no_length_is_named(mux):
    with pytest.raises(MerEdgeError, match=r"cue 1 \(00:00:01.000 to 00:00:01.000\) does not end"):
        embedded_subtitles(mux("a.mkv", ("subrip", [(1000, 1000, "a")])))


def test_a_stream_that_is_not_utf8(mux):
    path = mux("a.mkv", ("subrip", [(1000, 2000, b"caf\xe9")]))
    with pytest.raises(MerEdgeError, match=r"cannot be decoded .* expected UTF-8 subtitles"):
        embedded_subtitles(path)
