"""Clips for a network that does not use every modality: the rest is neither decoded nor missed."""

from pathlib import Path

import pytest

from mer_edge.clips import ClipOptions, load_clips
from mer_edge.errors import MerEdgeError
from tests.grey_detector import Grey
from tests.media_files import Picture, Voice, write_media


class Blind(Grey):
    """A detector that must not be asked."""

    def detect(self, frame_rgb):  # type: ignore[no-untyped-def]
        raise AssertionError("a face was looked for")


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_media(tmp_path / "a.mp4", Picture(frames=50), Voice(duration_s=2.0))


def test_sound_without_pictures(video: Path) -> None:
    (clip,) = load_clips(video, ClipOptions(modalities=("audio",)), detector=Blind())
    assert clip.audio_present.all()
    assert not clip.face_present.any()
    assert not clip.faces.any()
    assert clip.notes == ()


def test_pictures_without_sound(video: Path) -> None:
    (clip,) = load_clips(video, ClipOptions(modalities=("visual",)), detector=Grey())
    assert clip.face_present.all()
    assert not clip.audio_present.any()
    assert not clip.waveform.any()
    assert clip.notes == ()


def test_subtitles_cut_a_clip_whose_text_is_not_wanted(video: Path) -> None:
    video.with_suffix(".srt").write_text(
        "1\n00:00:00,000 --> 00:00:01,000\nhello\n\n2\n00:00:01,000 --> 00:00:02,000\nyou\n"
    )
    clips = list(load_clips(video, ClipOptions(modalities=("audio",)), detector=Blind()))
    assert [clip.text for clip in clips] == ["hello", "you"]


@pytest.mark.parametrize(
    ("modalities", "picture", "voice", "message"),
    [
        (("audio",), Picture(), None, "no sound; expected it; choose another file"),
        (
            ("visual",),
            None,
            Voice(),
            "no face in the one frame looked at; expected it; choose another file",
        ),
        (("text",), Picture(), Voice(), "no text; expected it; give the words with --text, or"),
        (("audio", "text"), Picture(), None, "no sound and no text; expected at least one of the"),
    ],
)
def test_a_file_without_what_is_wanted(
    modalities: tuple[str, ...],
    picture: Picture | None,
    voice: Voice | None,
    message: str,
    tmp_path: Path,
) -> None:
    path = write_media(tmp_path / "b.mkv", picture, voice)
    with pytest.raises(MerEdgeError, match=f"b.mkv: {message}"):
        list(load_clips(path, ClipOptions(modalities=modalities), detector=Grey()))


@pytest.mark.parametrize("change", [{"face": 2}, {"yunet": Path("face.onnx")}])
def test_options_for_faces_that_nobody_looks_for(change: dict[str, object]) -> None:
    with pytest.raises(MerEdgeError, match="where no faces are looked for; leave --"):
        ClipOptions(modalities=("audio", "text"), **change)  # type: ignore[arg-type]
