import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mer_edge.clip import Clip
from mer_edge.errors import MerEdgeError
from mer_edge.segments import SEGMENT_HOP_SAMPLES, SEGMENT_S, SEGMENT_SAMPLES, segment_count


def arrays(count: int = 2) -> dict[str, np.ndarray]:
    return {
        "waveform": np.zeros((count, SEGMENT_SAMPLES), np.float32),
        "faces": np.zeros((count, 224, 224, 3), np.uint8),
        "audio_present": np.ones(count, np.bool_),
        "face_present": np.zeros(count, np.bool_),
    }


def test_a_clip_knows_what_it_has():
    clip = Clip(text="hello", **arrays(3))
    assert clip.segments == 3
    assert clip.has_audio
    assert not clip.has_face


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("waveform", np.zeros((2, 15_601), np.float32), r"waveform is float32 \(2, 15601\)"),
        ("waveform", np.zeros((2, SEGMENT_SAMPLES)), "waveform is float64"),
        ("faces", np.zeros((3, 224, 224, 3), np.uint8), r"faces is uint8 \(3, 224, 224, 3\)"),
        ("faces", np.zeros((2, 3, 224, 224), np.uint8), "faces is uint8"),
        ("audio_present", np.ones(2), "audio_present is float64"),
        ("face_present", np.ones(1, np.bool_), r"face_present is bool \(1,\)"),
    ],
)
def test_a_wrong_array_is_named(name, value, found):
    with pytest.raises(MerEdgeError, match=found):
        Clip(text=None, source="a.mp4", **(arrays() | {name: value}))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(bad):
    given_arrays = arrays()
    given_arrays["waveform"][1, 7] = bad
    with pytest.raises(MerEdgeError, match=r"a\.wav: the waveform has NaN or infinite samples"):
        Clip(text=None, source="a.wav", **given_arrays)


def test_no_segment_is_refused():
    with pytest.raises(MerEdgeError, match="no segment"):
        Clip(text=None, **arrays(0))


def test_a_segment_is_96_hops_and_overlaps_the_next_by_15_ms():
    assert SEGMENT_S == 0.96
    assert SEGMENT_SAMPLES - SEGMENT_HOP_SAMPLES == 240
    assert SEGMENT_SAMPLES == (96 - 1) * 160 + 400


@given(st.floats(min_value=0, max_value=1e5))
def test_segment_count_is_the_nearest_whole_number_and_at_least_one(duration_s):
    count = segment_count(duration_s)
    assert count >= 1
    if count > 1:
        assert abs(count * SEGMENT_S - duration_s) <= SEGMENT_S / 2 + 1e-9
