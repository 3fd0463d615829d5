"""Clips of long sources: an utterance each, or windows."""

import numpy as np
import pytest

from mer_edge.clips import ClipOptions, load_clips
from mer_edge.errors import MerEdgeError
from mer_edge.text.source import TextOptions
from tests.grey_detector import Grey, level_of_crop
from tests.media_files import Picture, Voice, level_of, write_media


def test_a_subtitle_file_makes_a_clip_per_utterance(tmp_path):
    path = write_media(
        tmp_path / "a.mp4", Picture(rate_hz=5, frames=25), Voice("aac", duration_s=5)
    )
    cues = "1\n00:00:00,500 --> 00:00:01,500\nOne\n\n2\n00:00:02,000 --> 00:00:04,000\nTwo\n"
    path.with_suffix(".srt").write_text(cues)
    first, second = load_clips(path, detector=Grey())
    assert (first.text, first.start_s, first.end_s, first.segments) == ("One", 0.5, 1.5, 1)
    assert (second.text, second.start_s, second.end_s, second.segments) == ("Two", 2.0, 4.0, 2)
    assert first.notes == second.notes == ("Text: a.srt.",)
    # Middles: 0.98; 2.48 and 3.48 s, at five frames a second.
    levels = [level_of_crop(crop) for clip in (first, second) for crop in clip.faces]
    assert levels == pytest.approx([level_of(n) for n in (4, 12, 17)], abs=3)
    (whole,) = load_clips(path, detector=Grey(), options=ClipOptions(TextOptions(no_text=True)))
    samples = np.concatenate([*whole.waveform[:, :15_360], whole.waveform[-1, 15_360:]])
    assert np.array_equal(first.waveform[0], samples[8_000:23_600])
    assert np.array_equal(second.waveform[1], samples[32_000 + 15_360 : 32_000 + 30_960])


def test_embedded_subtitles(tmp_path):
    path = write_media(
        tmp_path / "a.mkv",
        Picture("mpeg4", frames=75),
        Voice("flac", duration_s=3),
        cues=[(0.0, 1.0, "Hello"), (1.5, 2.9, "world")],
    )
    clips = list(load_clips(path, detector=Grey()))
    assert [(clip.text, clip.start_s, clip.end_s) for clip in clips] == [
        ("Hello", 0.0, 1.0),
        ("world", 1.5, 2.9),
    ]
    assert clips[0].notes == ("Text: embedded subtitles.",)


def test_a_cue_after_the_end_comes_before_any_clip(tmp_path):
    path = write_media(tmp_path / "a.wav", None, Voice("pcm_s16le", duration_s=3))
    path.with_suffix(".srt").write_text(
        "1\n00:00:00,000 --> 00:00:01,000\nIn\n\n2\n00:01:00,000 --> 00:01:01,000\nOut\n"
    )
    with pytest.raises(MerEdgeError, match=r"cue 2 of a.srt \('Out'\) starts at 60.00 s") as caught:
        next(load_clips(path))
    assert "but the media is 3.00 s long" in str(caught.value)


def test_a_long_source_is_cut_to_windows(tmp_path):
    path = write_media(tmp_path / "a.flac", None, Voice("flac", 16_000, duration_s=60))
    clips = list(load_clips(path))
    assert [clip.segments for clip in clips] == [30, 30, 3]
    assert [clip.start_s for clip in clips] == pytest.approx([0, 28.8, 57.6])
    assert "Window 2 of 3: 60.00 s were cut every 28.8 s." in clips[1].notes
    given = ClipOptions(TextOptions(text="Hello"), window_s=9.6)
    clips = list(load_clips(path, given))
    assert [clip.segments for clip in clips] == [10] * 6 + [3]
    assert {clip.text for clip in clips} == {"Hello"}
    assert any("same text" in note for note in clips[0].notes)


def test_each_window_is_transcribed_on_its_own(tmp_path, monkeypatch):
    import mer_edge.text.asr

    heard = []

    def transcribe(model_dir, waveform):
        heard.append(waveform)
        return f"window {len(heard)}"

    monkeypatch.setattr(mer_edge.text.asr, "transcribe", transcribe)
    path = write_media(tmp_path / "a.flac", None, Voice("flac", 16_000, duration_s=40))
    clips = list(load_clips(path, ClipOptions(TextOptions(asr_model=tmp_path))))
    assert [clip.text for clip in clips] == ["window 1", "window 2"]
    assert [len(waveform) for waveform in heard] == [28.8 * 16_000, 11.2 * 16_000]
    assert np.array_equal(heard[1][:15_600], clips[1].waveform[0])
    assert "Text: asr." in clips[0].notes
