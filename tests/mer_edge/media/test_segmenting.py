"""The grid of 0.96 s: windows of samples, coverage, times of frames, spans of a source."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from mer_edge.errors import MerEdgeError
from mer_edge.media.segmenting import covered_segments, segment_waveform, sounding_segments
from mer_edge.media.spans import Span, plan_spans
from mer_edge.segments import SEGMENT_S, segment_count
from mer_edge.text.source import TextFound
from mer_edge.text.subtitles import Utterance

SOURCE = Path("talk.mp4")
NO_TEXT = TextFound(None, None, "none")


def test_segments_overlap_by_240_samples():
    samples = np.arange(1, 16_000 * 3 + 1, dtype=np.float32)
    segments = segment_waveform(samples, 3)
    assert segments.shape == (3, 15_600)
    for i in range(3):
        assert np.array_equal(segments[i], samples[15_360 * i : 15_360 * i + 15_600])
    assert np.array_equal(segments[0, 15_360:], segments[1, :240])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000))
def test_any_length_is_padded_with_zeros(length):
    samples = np.ones(length, np.float32)
    count = segment_count(length / 16_000)
    segments = segment_waveform(samples, count)
    assert segments.shape == (count, 15_600)
    for i, segment in enumerate(segments):
        ones = min(max(length - 15_360 * i, 0), 15_600)
        assert segment[:ones].all()
        assert not segment[ones:].any()


def test_coverage_is_a_quarter_of_a_segment():
    covered = np.zeros(15_360 * 3, np.bool_)
    covered[: 15_360 // 4] = True
    covered[15_360 : 15_360 + 15_360 // 4 - 1] = True
    assert covered_segments(covered, 3).tolist() == [True, False, False]


def test_coverage_of_a_short_clip_is_of_the_clip():
    assert covered_segments(np.ones(1600, np.bool_), 1).tolist() == [True]
    assert covered_segments(np.zeros(0, np.bool_), 1).tolist() == [False]


@pytest.mark.parametrize("level", [0.0, 0.25])
def test_digital_silence_is_no_sound(level):
    """Silence, a constant offset and dither of one step; the noise of a microphone is sound."""
    samples = np.full(4 * 15360, level, np.float32)
    rng = np.random.default_rng(0)
    samples[15360:30720] += rng.integers(-1, 2, 15360).astype(np.float32) / 32768
    samples[30720:46080] += rng.normal(0, 1e-3, 15360).astype(np.float32)
    covered = np.ones(len(samples), np.bool_)
    covered[46080 + 2000 :] = False
    samples[46080:] = rng.normal(0, 0.1, 15360).astype(np.float32)
    present = sounding_segments(samples, covered, 4)
    assert present.tolist() == [False, False, True, False]


def test_silence_is_looked_for_where_there_is_sound():
    """What is not covered is zero, and tells nothing of the level of the rest."""
    samples = np.zeros(15360, np.float32)
    covered = np.zeros(15360, np.bool_)
    samples[:8000], covered[:8000] = 0.5, True
    assert sounding_segments(samples, covered, 1).tolist() == [False]


def test_frame_times_are_the_middles():
    assert Span(0.0, 2.88).frame_times_s() == pytest.approx([0.48, 1.44, 2.40])
    # The last segment is shorter: 2.5 s are 3 segments, the last from 1.92 to 2.5 s.
    assert Span(0.0, 2.5).frame_times_s() == pytest.approx([0.48, 1.44, 2.21])
    assert Span(10.0, 10.1).frame_times_s() == pytest.approx([10.05])
    assert Span(1.0, 1.96).frame_times_s(3) == pytest.approx([1.16, 1.48, 1.80])


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 100), st.floats(0.02, 40), st.sampled_from([1, 3, 5]))
def test_frame_times_lie_inside_and_rise(start_s, length_s, per_segment):
    span = Span(start_s, start_s + length_s)
    times_s = span.frame_times_s(per_segment)
    assert len(times_s) == span.segments * per_segment
    assert times_s == sorted(times_s)
    assert start_s < times_s[0]
    assert times_s[-1] < span.end_s
    middles = times_s[per_segment // 2 :: per_segment]
    assert middles == pytest.approx(span.frame_times_s())


@settings(max_examples=80, deadline=None)
@given(st.floats(0.1, 400), st.floats(0.96, 60))
@example(11.0, 1.0)
def test_windows_cover_the_source_without_overlap(duration_s, window_s):
    # Half a segment is a matter of rounding.
    assume(abs(duration_s / SEGMENT_S % 1 - 0.5) > 1e-6)
    spans = list(plan_spans(SOURCE, duration_s, NO_TEXT, window_s))
    assert spans[0].start_s == 0
    assert spans[-1].end_s == duration_s
    for before, after in pairwise(spans):
        assert before.end_s == after.start_s
        assert before.segments == segment_count(window_s)
    assert sum(span.segments for span in spans) == segment_count(duration_s)
    assert len(spans) == 1 or all(f"of {len(spans)}" in span.notes[0] for span in spans)


def test_30_segments_are_one_window():
    assert [span.segments for span in plan_spans(SOURCE, 28.8, NO_TEXT, 28.8)] == [30]
    assert [span.segments for span in plan_spans(SOURCE, 29.2, NO_TEXT, 28.8)] == [30]
    assert [span.segments for span in plan_spans(SOURCE, 29.3, NO_TEXT, 28.8)] == [30, 1]


def utterances(*cues: tuple[float, float, str]) -> TextFound:
    return TextFound(None, tuple(Utterance(*cue) for cue in cues), "talk.srt")


def test_one_span_per_utterance():
    found = utterances((0.5, 1.5, "One"), (2.0, 5.0, "two"))
    spans = list(plan_spans(SOURCE, 10.0, found, 28.8))
    assert [(s.start_s, s.end_s, s.text, s.notes) for s in spans] == [
        (0.5, 1.5, "One", ()),
        (2.0, 5.0, "two", ()),
    ]


def test_an_utterance_is_cut_at_the_end_of_the_media():
    (span,) = plan_spans(SOURCE, 10.0, utterances((9.0, 12.0, "late")), 28.8)
    assert span.end_s == 10.0
    assert span.notes == ("The utterance ends at 12.00 s and was cut at the media's end, 10.00 s.",)


def test_an_utterance_after_the_end_is_an_error():
    found = utterances((1.0, 2.0, "in"), (10.5, 12.0, "out there"))
    with pytest.raises(MerEdgeError) as caught:
        list(plan_spans(SOURCE, 10.0, found, 28.8))
    assert str(caught.value).startswith(
        "talk.mp4: cue 2 of talk.srt ('out there') starts at 10.50 s, but the media is 10.00 s"
    )


def test_a_very_long_utterance_is_cut_and_says_so():
    spans = list(plan_spans(SOURCE, 100.0, utterances((10.0, 70.0, "monologue")), 28.8))
    assert [span.segments for span in spans] == [30, 30, 3]
    assert {span.text for span in spans} == {"monologue"}
    assert "The same text stands for every window" in spans[1].notes[-1]
