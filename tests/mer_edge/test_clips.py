"""Whole clips: every kind of source, every option, every absent modality."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mer_edge.clip import PreparedClip
from mer_edge.clips import ClipOptions, load_clips, prepare_clips
from mer_edge.errors import MerEdgeError
from mer_edge.evidence import Evidence
from mer_edge.text.source import TextOptions
from tests.grey_detector import Grey, level_of_crop
from tests.media_files import (
    QUADRANTS,
    Picture,
    Voice,
    damage,
    level_of,
    numbered,
    quadrants,
    write_media,
)

SPEECH = Path(__file__).parents[1] / "data" / "speech" / "speech.flac"


def black(number: int, time_s: float, size: tuple[int, int]) -> np.ndarray:
    return np.zeros((size[1], size[0], 3), np.uint8)


def error_of(source: Path, options: ClipOptions | None = None, detector: Grey | None = None) -> str:
    with pytest.raises(MerEdgeError) as caught:
        list(load_clips(source, options or ClipOptions(), detector=detector or Grey()))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_one_clip_of_a_video(tmp_path):
    """Ten frames a second, each with its own grey: the crops tell which frame was taken."""
    path = write_media(
        tmp_path / "a.mp4", Picture(rate_hz=10, frames=28), Voice("aac", duration_s=2.8)
    )
    (clip,) = load_clips(path, detector=Grey())
    assert clip.segments == 3
    assert (clip.start_s, clip.end_s) == (0.0, pytest.approx(2.8, abs=0.01))
    assert clip.source == str(path)
    assert clip.text is None
    assert clip.audio_present.all()
    assert clip.face_present.all()
    assert clip.notes == ()
    # Middles: 0.48, 1.44 and (1.92 + 2.8) / 2 = 2.36 s.
    for crop, number in zip(clip.faces, (4, 14, 23), strict=True):
        assert level_of_crop(crop) == pytest.approx(level_of(number), abs=3)
    assert clip.waveform.shape == (3, 15_600)
    assert np.array_equal(clip.waveform[0, 15_360:], clip.waveform[1, :240])
    assert np.sqrt(2 * np.mean(clip.waveform[1] ** 2)) == pytest.approx(0.5, rel=0.03)
    # The last segment ends with the clip: 2.8 s is sample 14,080 of it.
    assert not clip.waveform[2, 14_200:].any()


def test_several_crops_a_segment_for_training(tmp_path):
    path = write_media(tmp_path / "a.mkv", Picture("ffv1", rate_hz=25, frames=24))
    (prepared,) = prepare_clips(path, crops_per_segment=3, detector=Grey())
    assert isinstance(prepared, PreparedClip)
    assert prepared.crops.shape == (1, 3, 224, 224, 3)
    assert prepared.crops_present.tolist() == [[True] * 3]
    # Parts of 0.32 s, middles 0.16, 0.48 and 0.80 s: frames 4, 12 and 20.
    for crop, number in zip(prepared.crops[0], (4, 12, 20), strict=True):
        assert level_of_crop(crop) == pytest.approx(level_of(number), abs=2)
    assert np.array_equal(prepared.clip.faces[0], prepared.crops[0, 1])
    (alone,) = load_clips(path, detector=Grey())
    assert np.array_equal(alone.faces, prepared.clip.faces)


@pytest.mark.parametrize("crops", [0, 2, -1])
def test_the_number_of_crops_is_odd(tmp_path, crops):
    with pytest.raises(ValueError, match="odd"):
        next(prepare_clips(tmp_path / "a.mp4", crops_per_segment=crops))


def test_sound_alone(tmp_path):
    path = write_media(tmp_path / "a.flac", None, Voice("flac", duration_s=3))
    (clip,) = load_clips(path)
    assert clip.segments == 3
    assert clip.audio_present.all()
    assert not clip.has_face
    assert not clip.faces.any()
    assert clip.notes == ("There is no picture.",)


def test_a_muted_track_has_no_say(tmp_path):
    def muted_after_two_segments(times_s):
        return np.where(times_s < 1.92, np.sin(2 * np.pi * 300 * times_s), 0.0)

    voice = Voice("pcm_s16le", 16_000, duration_s=3.84, wave=muted_after_two_segments)
    (clip,) = load_clips(write_media(tmp_path / "a.wav", None, voice))
    assert clip.audio_present.tolist() == [True, True, False, False]
    assert clip.notes == (
        "There is sound in 2 of 4 segments.",
        "The sound of 2 of 4 segments is digital silence.",
        "There is no picture.",
    )
    voice = Voice(duration_s=2, wave=np.zeros_like)
    picture = Picture(frames=50)
    (clip,) = load_clips(write_media(tmp_path / "a.mp4", picture, voice), detector=Grey())
    assert not clip.has_audio
    assert clip.face_present.all()


def test_a_bundle_may_listen_to_voices_alone(tmp_path):
    hums = ClipOptions(evidence=Evidence(voice=True))
    hum = Voice("flac", 16_000, duration_s=3, wave=lambda t: 0.3 * np.sin(2 * np.pi * 50 * t))
    path = write_media(tmp_path / "a.mkv", Picture(frames=75), hum)
    (clip,) = load_clips(path, hums, detector=Grey())
    assert not clip.has_audio
    assert clip.waveform.any()
    assert clip.notes == ("There is a voice in 0 of 3 segments with sound.",)
    alone = write_media(tmp_path / "a.wav", None, replace(hum, codec="pcm_s16le"))
    assert "a.wav: no voice, no face" in error_of(alone, hums)
    (clip,) = load_clips(SPEECH, hums)
    assert clip.audio_present[:2].all()
    silent = replace(hums, modalities=("visual",))
    (clip,) = load_clips(path, silent, detector=Grey())
    assert clip.notes == ()


def test_a_bundle_may_leave_out_faces_that_are_too_small(tmp_path):
    path = write_media(tmp_path / "a.mp4", Picture(frames=50), Voice(duration_s=2))
    narrow = ClipOptions(evidence=Evidence(min_face_px=20))
    (clip,) = load_clips(path, narrow, detector=Grey())
    assert clip.face_present.all()
    wide = ClipOptions(evidence=Evidence(min_face_px=100))
    (clip,) = load_clips(path, wide, detector=Grey())
    assert not clip.has_face
    assert not clip.faces.any()
    assert clip.notes == (
        "A face was found in 0 of 2 frames looked at.",
        "In 2 of 2 frames looked at the face is too small or too blurred to be read.",
    )


def test_a_silent_video(tmp_path):
    (clip,) = load_clips(write_media(tmp_path / "a.mp4", Picture(frames=50)), detector=Grey())
    assert clip.segments == 2
    assert not clip.has_audio
    assert not clip.waveform.any()
    assert clip.face_present.all()
    assert clip.notes == ("There is no sound.",)


def test_a_directory_of_frames(tmp_path):
    for i in range(12):
        pixels = numbered(i, 0.0, (160, 120))
        cv2.imwrite(str(tmp_path / f"f{i}.png"), pixels)
    write_media(tmp_path / "a.wav", None, Voice("pcm_s16le", duration_s=2.88))
    (tmp_path / "said.txt").write_text("Hello there")
    (clip,) = load_clips(tmp_path, detector=Grey())
    assert clip.segments == 3
    assert clip.text == "Hello there"
    assert clip.audio_present.all()
    # 12 frames in 2.88 s, 0.24 s each: 0.48, 1.44, 2.4 s are frames 2, 6 and 10.
    for crop, number in zip(clip.faces, (2, 6, 10), strict=True):
        assert level_of_crop(crop) == pytest.approx(level_of(number), abs=1)
    assert "Text: said.txt." in clip.notes
    (slower,) = load_clips(tmp_path, ClipOptions(frame_rate_hz=2.0), detector=Grey())
    assert slower.end_s == 6.0
    assert slower.segments == 6
    assert slower.audio_present.tolist() == [True, True, True, False, False, False]


def test_sound_shorter_and_later_than_the_picture(tmp_path):
    path = write_media(
        tmp_path / "a.mkv", Picture(frames=120), Voice("flac", start_s=0.96, duration_s=1.2)
    )
    (clip,) = load_clips(path, detector=Grey())
    # From 0.96 to 2.16 s: all of segment 1 and exactly a quarter of segment 2.
    assert clip.audio_present.tolist() == [False, True, True, False, False]
    assert not clip.waveform[0, :15_360].any()
    assert clip.waveform[1].any()
    assert "There is sound in 2 of 5 segments." in clip.notes


def test_faces_come_and_go(tmp_path):
    def sometimes(number, time_s, size):
        return (numbered if 1.0 < time_s < 2.0 else black)(number, time_s, size)

    path = write_media(
        tmp_path / "a.mp4", Picture(frames=72, draw=sometimes), Voice(duration_s=2.9)
    )
    (clip,) = load_clips(path, detector=Grey())
    assert clip.face_present.tolist() == [False, True, False]
    assert not clip.faces[0].any()
    assert "A face was found in 1 of 3 frames looked at." in clip.notes


def test_what_looks_like_a_face_and_is_never_sure_is_none(tmp_path):
    path = write_media(tmp_path / "a.mp4", Picture(frames=72), Voice(duration_s=3))
    (clip,) = load_clips(path, detector=Grey(sure_in_calls=()))
    assert not clip.has_face
    assert not clip.faces.any()
    assert clip.notes == (
        "A face was found in 0 of 3 frames looked at.",
        "In 3 frames something looks like a face; none is sure enough to be one.",
    )
    (clip,) = load_clips(path, detector=Grey(sure_in_calls=(2,)))
    assert clip.face_present.all()
    assert clip.notes == ()


def test_the_crop_is_rgb_and_upright(tmp_path):
    path = write_media(tmp_path / "a.mp4", Picture(size=(160, 160), draw=quadrants))
    (clip,) = load_clips(path, detector=Grey())
    crop = clip.faces[0].astype(int)
    assert np.abs(crop[60, 60] - QUADRANTS["top left"]).max() < 25
    assert np.abs(crop[60, 164] - QUADRANTS["top right"]).max() < 25
    assert np.abs(crop[190, 60] - QUADRANTS["bottom left"]).max() < 25


def test_a_frame_that_stays_is_searched_once(tmp_path):
    path = write_media(tmp_path / "a.mkv", Picture(times_s=[0.0, 4.0]), Voice("flac", duration_s=4))
    detector = Grey()
    (clip,) = load_clips(path, detector=detector)
    assert clip.segments == 4
    assert clip.face_present.all()
    assert detector.calls == 1


def test_another_face(tmp_path):
    path = write_media(tmp_path / "a.mp4", Picture(size=(320, 120), draw=quadrants))
    (main,) = load_clips(path, detector=Grey(count=2))
    (other,) = load_clips(path, ClipOptions(face=2), detector=Grey(count=2))
    assert not np.array_equal(main.faces, other.faces)
    assert "Up to 2 faces are in a frame; number 1 was taken (--face chooses)." in main.notes
    message = error_of(path, ClipOptions(face=3), Grey(count=2))
    assert message.startswith(f"{path}: ")
    assert "2" in message


def test_options_out_of_range():
    with pytest.raises(MerEdgeError, match="found --face 0"):
        ClipOptions(face=0)
    with pytest.raises(MerEdgeError, match="frame rate of -1"):
        ClipOptions(frame_rate_hz=-1)
    for window_s in (0.5, float("nan"), float("inf")):
        with pytest.raises(MerEdgeError, match="found a window of"):
            ClipOptions(window_s=window_s)


def test_options_that_do_not_fit_the_source(tmp_path):
    sound = write_media(tmp_path / "a.wav", None, Voice("pcm_s16le"))
    assert "--face 2 for a source without a picture" in error_of(sound, ClipOptions(face=2))
    assert "only for a directory of frames" in error_of(sound, ClipOptions(frame_rate_hz=25))


def test_nothing_at_all_is_an_error(tmp_path):
    path = write_media(tmp_path / "a.mp4", Picture(frames=75, draw=black))
    message = error_of(path)
    assert "no sound, no face in any of 3 frames looked at and no text" in message
    (clip,) = load_clips(path, ClipOptions(TextOptions(text="Hello")), detector=Grey())
    assert clip.text == "Hello"


def test_windows_with_nothing_are_left_out_and_told(tmp_path):
    """Silent video: a face from 2 to 4 s of 8, in windows of 1.92 s."""

    def sometimes(number, time_s, size):
        return (numbered if 1.9 < time_s < 3.9 else black)(number, time_s, size)

    path = write_media(tmp_path / "a.mp4", Picture(frames=200, draw=sometimes))
    (clip,) = load_clips(path, ClipOptions(window_s=1.92), detector=Grey())
    assert (clip.start_s, clip.end_s) == pytest.approx((1.92, 3.84))
    left_out = [note for note in clip.notes if "was left out: no sound, no face, no text" in note]
    assert [note.split(" was")[0] for note in left_out] == [
        "0.00 to 1.92 s",
        "3.84 to 5.76 s",
        "5.76 to 8.00 s",
    ]


def test_damage_is_told_in_the_notes(tmp_path):
    noise = np.random.default_rng(0).integers(20, 256, (8, 120, 160, 3)).astype(np.uint8)
    path = write_media(
        tmp_path / "a.mp4", Picture(frames=100, draw=lambda n, t, s: noise[n % 8]), Voice()
    )
    damage(path, 0.4, 0.5)
    (clip,) = load_clips(path, detector=Grey())
    assert any("video packets could not be decoded" in note for note in clip.notes)


def test_clips_before_the_damage_are_kept(tmp_path):
    noise = np.random.default_rng(0).integers(20, 256, (8, 120, 160, 3)).astype(np.uint8)
    path = write_media(
        tmp_path / "a.mp4",
        Picture(frames=200, draw=lambda n, t, s: noise[n % 8]),
        options={"movflags": "faststart"},
    )
    damage(path, 0.6, 1.0)
    kept = []
    with pytest.raises(MerEdgeError, match="decodes only until"):
        for clip in load_clips(path, ClipOptions(window_s=1.92), detector=Grey()):
            kept.append(clip)
    assert [round(clip.start_s, 2) for clip in kept] == [0.0, 1.92]
