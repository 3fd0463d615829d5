"""Whole clips: every kind of source, every option, every absent modality."""

import subprocess
import sys
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from mer_edge.clips import ClipOptions, PreparedClip, load_clips, prepare_clips
from mer_edge.errors import MerEdgeError
from mer_edge.faces.face import Face
from mer_edge.text.source import TextOptions
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

# Where the five points lie in a face box, as shares of its sides.
POINTS = np.array([[0.33, 0.4], [0.67, 0.4], [0.5, 0.6], [0.37, 0.78], [0.63, 0.78]])


@dataclass
class Grey:
    """A detector for tests: ``count`` faces in a row in every frame brighter than black."""

    count: int = 1
    name: str = "grey"
    calls: int = 0

    def detect(self, frame_rgb: np.ndarray) -> list[Face]:
        self.calls += 1
        if frame_rgb.mean() < 10:
            return []
        height, width = frame_rgb.shape[:2]
        faces = []
        for i in range(self.count):
            side = min(height, width / self.count) * (0.9 - 0.1 * i)
            x0, y0 = (i + 0.5) * width / self.count - side / 2, (height - side) / 2
            points = (POINTS * side + (x0, y0)).astype(np.float32)
            faces.append(Face((x0, y0, x0 + side, y0 + side), 0.99, points))
        return faces


def black(number: int, time_s: float, size: tuple[int, int]) -> np.ndarray:
    return np.zeros((size[1], size[0], 3), np.uint8)


def error_of(source: Path, options: ClipOptions | None = None, detector: Grey | None = None) -> str:
    with pytest.raises(MerEdgeError) as caught:
        list(load_clips(source, options or ClipOptions(), detector=detector or Grey()))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def level_of_crop(crop: np.ndarray) -> float:
    """The middle of the crop: its edges may reach beyond the frame."""
    return float(crop[100:130, 100:130].mean())


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
    assert "cue 2 of a.srt ('Out') starts at 60.00 s, but the media is 3.00 s long" in error_of(
        path
    )


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


def test_memory_does_not_grow_with_the_length(tmp_path):
    """Two minutes of sound in windows: numpy's peak is that of a window, not of the file."""
    path = write_media(tmp_path / "a.flac", None, Voice("flac", 16_000, duration_s=120))
    peaks = []
    for count in (2, 24):
        tracemalloc.start()
        clips = load_clips(path, ClipOptions(window_s=4.8))
        for _ in range(count):
            next(clips)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        clips.close()
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 8e6  # A window: 5 crops of 150 kB, 5 segments of 62 kB, a few times.


def test_closing_the_generator_closes_the_file(tmp_path):
    path = write_media(tmp_path / "a.flac", None, Voice("flac", 16_000, duration_s=60))
    clips = load_clips(path)
    next(clips)
    descriptors = [p.resolve() for p in Path("/proc/self/fd").iterdir() if p.exists()]
    assert path.resolve() in descriptors
    clips.close()
    descriptors = [p.resolve() for p in Path("/proc/self/fd").iterdir() if p.exists()]
    assert path.resolve() not in descriptors


def test_neither_torch_nor_transformers_is_loaded(tmp_path):
    path = write_media(tmp_path / "a.wav", None, Voice("pcm_s16le"))
    script = (
        "import sys; from mer_edge.clips import load_clips\n"
        "assert next(load_clips(sys.argv[1])).segments == 1\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)


DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.mark.shared
@pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not here")
@pytest.mark.parametrize(
    ("name", "segments", "faces"),
    [
        ("clips/0Fi83BHQsMA_00002.mp4", 2, 2),
        ("clips/PbgB2TaYhio_00007.mp4", 1, 1),
        ("clips/M003_level_1_disgusted_015.mp4", 5, 5),
        ("clips/W023_level_2_surprised_010.mp4", 3, 3),
        ("clips/W036_level_3_happy_007.mp4", 3, 3),
        ("photos/pf_no_face.mp4", 4, 0),
        ("photos/pf_single_face.mp4", 3, 3),
        ("ravdess_av_actor01/mp4/01-01-01-01-01-01-01.mp4", 3, 3),
        ("ravdess_av_actor01/mp4/01-01-01-01-02-01-01.mp4", 3, 3),
        ("ravdess_audio/03-01-01-01-01-01-01.flac", 3, 0),
    ],
)
def test_real_files(name, segments, faces):
    (clip,) = load_clips(DATA / name)
    assert clip.segments == segments
    assert clip.face_present.sum() == faces
    assert clip.audio_present.all()
    assert 0.005 < np.abs(clip.waveform).max() <= 1
