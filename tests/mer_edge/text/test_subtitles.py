import codecs
import html

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_edge.errors import MerEdgeError
from mer_edge.text.cues import clock
from mer_edge.text.subtitles import Utterance, read_subtitles


@pytest.fixture
def read(tmp_path):
    """Returns ``read(name, text)``: what the reader makes of a file of that name."""

    def write_and_read(name, text):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_subtitles(path)

    return write_and_read


def srt(*cues):
    blocks = (
        f"{i}\n{clock(start).replace('.', ',')} --> {clock(end).replace('.', ',')}\n{text}\n"
        for i, (start, end, text) in enumerate(cues, start=1)
    )
    return "\n".join(blocks)


def test_srt_tags_lines_entities_and_positions(read):
    text = (
        "1\n00:00:01,000 --> 00:00:02,500 X1:40 X2:600 Y1:20 Y2:50\n"
        '<i>Hello</i> <font color="#ff0000">there</font>,\n{\\an8}you &amp; me\n\n'
        "2\n01:00:03,250 --> 01:00:04,000\n- I <3 you\n- AT&T\n"
    )
    assert read("a.srt", text) == [
        Utterance(1.0, 2.5, "Hello there, you & me"),
        Utterance(3603.25, 3604.0, "- I <3 you - AT&T"),
    ]


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_other_newlines_and_a_byte_order_mark_change_nothing(read, newline, mark):
    plain = srt((1, 2, "one\nline"), (2, 3, "zwei schöne"))
    assert read("a.srt", mark + plain.replace("\n", newline).encode()) == [
        Utterance(1, 2, "one line"),
        Utterance(2, 3, "zwei schöne"),
    ]


def test_numbers_that_are_said_are_kept_and_numbers_of_cues_are_not(read):
    text = srt((1, 2, "7"), (3, 4, "I am\n42"), (5, 6, "Room\n101"))
    assert [u.text for u in read("a.srt", text)] == ["7", "I am 42", "Room 101"]


def test_srt_without_numbers_or_with_a_blank_line_inside_a_cue(read):
    text = "00:00:01,000 --> 00:00:02,000\nfirst\n\nstill first\n\n00:00:03,000 --> 00:00:04,000\nx"
    assert [u.text for u in read("a.srt", text)] == ["first still first", "x"]


def test_cues_are_sorted_and_those_without_words_are_left_out(read):
    text = srt(
        (5, 6, "last"), (1, 2, "<i> </i>"), (2, 2, ""), (3, 4, "first"), (3.2, 3.4, "\u200b")
    )
    assert read("a.srt", text) == [Utterance(3, 4, "first"), Utterance(5, 6, "last")]


def test_vtt_blocks_that_are_not_said_are_left_out(read):
    text = (
        "WEBVTT - A title\nKind: captions\n\n"
        "STYLE\n::cue { color: lime }\n\n"
        "REGION\nid:fred\nwidth:40%\n\n"
        "NOTE one line\n\n"
        "intro\n00:01.000 --> 00:02.500 align:start position:10% line:0\n"
        "<v.loud Mary Smith>Fish &amp; <c.yellow>chips</c>&nbsp;&lt;now&gt;</v>\n\n"
        "NOTE\nthis block has\ntwo lines\n\n"
        "2\n01:00:03.000 --> 01:00:04.000\n<lang en>second\ncue</lang>\n{not said}\n"
    )
    assert read("a.vtt", text) == [
        Utterance(1.0, 2.5, "Fish & chips <now>"),
        Utterance(3603.0, 3604.0, "second cue"),
    ]


def test_vtt_with_a_time_for_each_word(read):
    text = (
        "WEBVTT\n\n00:00:00.160 --> 00:00:02.310 align:start position:0%\n \n"
        "so<00:00:00.480><c> today</c><00:00:00.900><c> we</c>\n\n"
        "00:00:02.310 --> 00:00:04.000\nstart<00:03.500> now\n"
    )
    assert read("a.vtt", text) == [
        Utterance(0.16, 2.31, "so today we"),
        Utterance(2.31, 4.0, "start now"),
    ]


def test_vtt_by_its_first_line_whatever_the_extension(read):
    text = "WEBVTT\n\n00:01.000 --> 00:02.000\nhello\n\nNOTE nobody says this\n"
    assert read("a.srt", text) == [Utterance(1, 2, "hello")]


def test_overlap_names_both_cues_and_their_times(read):
    text = srt((5, 8, "later"), (1, 3.5, "first"), (3, 4, "second"))
    with pytest.raises(MerEdgeError) as error:
        read("talk.srt", text)
    assert str(error.value) == (
        "talk.srt: cue 2 (00:00:01.000 to 00:00:03.500) and cue 3 (00:00:03.000 to 00:00:04.000) "
        "overlap by 0.500 s; expected one utterance at a time; join the two into one cue or "
        "correct their times"
    )


@pytest.mark.parametrize("overlap_ms", [0, 1, 39, 40])
def test_overlap_of_up_to_a_frame_is_rounding_and_cuts_the_earlier_cue(read, overlap_ms):
    # 2.3 s: a time whose binary fraction is not exact.
    text = srt((1, 2.3 + overlap_ms / 1000, "a"), (2.3, 3, "b"))
    assert read("a.srt", text) == [Utterance(1, 2.3, "a"), Utterance(2.3, 3, "b")]


@pytest.mark.parametrize(
    "cues",
    [
        ((1, 2.341, "a"), (2.3, 3, "b")),  # one millisecond more than a frame
        ((1, 1.03, "a"), (1, 2, "b")),  # the cut would leave nothing
        ((1, 10, "a"), (3, 4, "b"), (12, 13, "c")),  # one inside the other
    ],
)
def test_overlap_above_a_frame_is_an_error(read, cues):
    with pytest.raises(MerEdgeError, match=r"cue 1 .* and cue 2 .* overlap"):
        read("a.srt", srt(*cues))


@pytest.mark.parametrize("end", [2, 1.5])
def test_a_cue_that_does_not_end_after_it_starts_is_named(read, end):
    with pytest.raises(MerEdgeError, match=r"cue 2 \(00:00:02.000 to .*\) does not end after"):
        read("a.srt", srt((0, 1, "a"), (2, end, "b")))


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.srt", "just words\n"), ("a.vtt", "WEBVTT\n\nNOTE nothing\n"), ("a.srt", "\n \n")],
)
def test_no_cue(read, name, text):
    with pytest.raises(MerEdgeError, match=r"no cue; expected cues"):
        read(name, text)


def test_only_cues_without_words(read):
    with pytest.raises(MerEdgeError, match="no cue with words"):
        read("a.srt", srt((1, 2, ""), (3, 4, "<b></b>")))


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("a.srt", "00:00:03 --> 00:00:04"),
        ("a.srt", "00:00:03,000 -->"),
        ("a.srt", "-00:00:03,000 --> 00:00:04,000"),
        ("a.srt", "100:00:03,000 --> 100:00:04,000"),  # pysubs2 alone reads hour 0 here
        ("a.vtt", "00:03.5 --> 00:04.0"),
        ("a.vtt", "00:00:03,000 --> 00:00:04,000"),
    ],
)
def test_times_that_cannot_be_read_are_named_by_line(read, name, line):
    good = "00:00:01.000 --> 00:00:02.000" if name == "a.vtt" else "00:00:01,000 --> 00:00:02,000"
    with pytest.raises(MerEdgeError) as error:
        read(name, f"{good}\nhello\n\n{line}\nthere\n")
    assert f"line 4 is '{line}'; expected the two times of cue 2" in str(error.value)


def test_times_among_the_words_are_refused_not_taken_for_a_cue(read):
    with pytest.raises(MerEdgeError, match="cue 1 at line 2 has other times among its words"):
        read("a.srt", srt((1, 2, "from 00:00:01,000 to 00:00:02,000")))


def test_a_cue_of_ten_thousand_characters_is_read_and_a_megabyte_of_brackets_is_not(read):
    said = "hello " * 1667
    assert read("a.srt", srt((1, 2, said))) == [Utterance(1, 2, said.strip())]
    with pytest.raises(MerEdgeError, match=r"cue 1 at line 2 has more than 20000 characters"):
        read("a.srt", srt((1, 2, "{" * 1_000_000)))


def test_an_arrow_that_is_said_is_text(read):
    assert read("a.srt", srt((1, 2, "A --> B"))) == [Utterance(1, 2, "A --> B")]


WORDS = st.text(st.characters(codec="utf-8", categories=["L", "P", "Zs"]), min_size=1).filter(
    # Braces and backslashes are SubStation markup to pysubs2.
    lambda text: bool(text.split()) and "-->" not in text and not set("{}\\") & set(text)
)


@settings(max_examples=60, deadline=None)
@given(
    format_=st.sampled_from(["srt", "vtt"]),
    said=st.lists(
        st.tuples(st.integers(0, 5000), st.integers(1, 9000), WORDS), min_size=1, max_size=6
    ),
)
def test_what_is_written_is_read(tmp_path_factory, format_, said):
    at_ms, expected, lines = 0, [], ["WEBVTT\n"] if format_ == "vtt" else []
    for pause_ms, length_ms, text in said:
        start_ms, end_ms = at_ms + pause_ms, at_ms + pause_ms + length_ms
        expected.append(Utterance(start_ms / 1000, end_ms / 1000, " ".join(text.split())))
        times = f"{clock(start_ms / 1000)} --> {clock(end_ms / 1000)}"
        times = times.replace(".", ",") if format_ == "srt" else times
        lines += [f"{len(expected)}\n{times}\n{html.escape(text)}\n"]
        at_ms = end_ms
    path = tmp_path_factory.getbasetemp() / f"property.{format_}"
    path.write_bytes("\n".join(lines).encode())
    assert read_subtitles(path) == expected


PIECES = (
    *("1\n", "\n", "00:00:01,000", " --> ", "00:00:02.000", "-", ":00:01.000 ", "<v A>", "<"),
    *("WEBVTT", "NOTE ", "\r", "text", "&lt;", "\u2028", "\ufeff", "٣", "9" * 30, "\\N", "{\\p1}"),
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["srt", "vtt"]), st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_any_text_gives_sound_utterances_or_a_clear_error(tmp_path_factory, format_, text):
    path = tmp_path_factory.getbasetemp() / f"any.{format_}"
    path.write_bytes(text.encode())
    try:
        utterances = read_subtitles(path)
    except MerEdgeError:
        return
    assert utterances
    assert all(u.start_s < u.end_s and u.text for u in utterances)
    times = [time_s for u in utterances for time_s in (u.start_s, u.end_s)]
    assert times == sorted(times)
