"""Recognizer: clips, files, batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from av.codec.hwaccel import hwdevices_available

import mer_edge
from mer_edge.bundle import Bundle
from mer_edge.clip import Clip
from mer_edge.clips import ClipOptions, load_clips
from mer_edge.errors import MerEdgeError
from mer_edge.text.source import TextOptions
from runtime.recognizer import Recognizer
from tests.runtime.bundles import expected_logits, make_bundle, make_clip
from tests.runtime.media import face_video, tone_wav


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return face_video(tmp_path_factory.mktemp("video") / "clip.mp4")


def probabilities(clip: Clip) -> list[float]:
    return list(1 / (1 + np.exp(-expected_logits(clip))))


def test_the_public_name_is_this_class() -> None:
    assert mer_edge.Recognizer is Recognizer


def test_a_path_is_loaded_and_verified(bundle_path: Path, tmp_path: Path) -> None:
    assert Recognizer(str(bundle_path)).bundle == Bundle.load(bundle_path)
    with pytest.raises(MerEdgeError, match="no such bundle"):
        Recognizer(tmp_path / "nowhere")
    with pytest.raises(MerEdgeError, match="no such device"):
        Recognizer(bundle_path, device="npu")


def test_a_clip(recognizer: Recognizer) -> None:
    clip = make_clip("good day", [0.5, None], [None, 51])
    result = recognizer.recognize(clip)
    np.testing.assert_allclose(list(result.probabilities.values()), probabilities(clip), rtol=1e-4)
    assert (result.segments, result.audio_segments, result.face_segments) == (2, 1, 1)
    assert result.timings_ms["media"] == 0
    stages = {key: value for key, value in result.timings_ms.items() if key != "total"}
    assert list(stages) == ["media", "tokenize", "text", "audio", "visual", "fusion"]
    assert result.timings_ms["total"] >= sum(stages.values())


def test_the_words_can_be_given(recognizer: Recognizer) -> None:
    clip = make_clip(None)
    result = recognizer.recognize(clip, text="bad day")
    assert result.text == "bad day"
    said = probabilities(replace(clip, text="bad day"))
    np.testing.assert_allclose(list(result.probabilities.values()), said, rtol=1e-4)


def test_a_clip_of_nothing(recognizer: Recognizer) -> None:
    nothing = make_clip(None, [None], [None])
    with pytest.raises(MerEdgeError, match=r"clip\.mp4: no sound, no face and no text"):
        recognizer.recognize(nothing)
    results = recognizer.run_batch([make_clip(), nothing])
    assert results[1].decision == []
    assert any("nothing to go by" in note for note in results[1].notes)
    assert results[0].decision != []


def test_a_batch_is_as_its_clips(recognizer: Recognizer) -> None:
    clips = [make_clip("good", [0.1 * n] * (n + 1), [n] * (n + 1)) for n in range(5)]  # 3 a run
    together = recognizer.run_batch(clips)
    for clip, result in zip(clips, together, strict=True):
        alone = recognizer.recognize(clip)
        assert result.probabilities == pytest.approx(alone.probabilities, rel=1e-5)
        assert result.segments == clip.segments
    assert together[0].timings_ms == together[2].timings_ms  # of one batch
    assert recognizer.run_batch([]) == []


def test_a_video_with_a_face_and_sound(recognizer: Recognizer, video: Path) -> None:
    result = recognizer.recognize(video, text="good day")
    assert (result.source, result.text) == (str(video), "good day")
    assert (result.segments, result.audio_segments, result.face_segments) == (2, 2, 2)
    assert result.end_s == pytest.approx(2.0, abs=0.1)
    assert result.timings_ms["media"] > 0
    (clip,) = load_clips(video, ClipOptions(text=TextOptions(text="good day")))
    np.testing.assert_allclose(list(result.probabilities.values()), probabilities(clip), rtol=1e-4)


def test_sound_alone_needs_no_detector(
    recognizer: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mer_edge.faces import mtcnn

    monkeypatch.setattr(mtcnn, "weights_folder", lambda: pytest.fail("the detector was opened"))
    fresh = Recognizer(recognizer.bundle, threads=1)
    result = fresh.recognize(tone_wav(tmp_path / "tone.wav"))
    assert (result.audio_segments, result.face_segments, result.text) == (1, 0, None)
    assert result.modalities["audio"].weight == 1


def subtitles(path: Path, *cues: str) -> None:
    blocks = [
        f"{number}\n00:00:0{number - 1},000 --> 00:00:0{number},000\n{cue}\n"
        for number, cue in enumerate(cues, 1)
    ]
    path.write_text("\n".join(blocks))


def test_one_result_an_utterance(recognizer: Recognizer, tmp_path: Path) -> None:
    path = face_video(tmp_path / "talk.mp4")
    subtitles(tmp_path / "talk.srt", "good day", "bad day")
    results = list(recognizer.recognize_all(path))
    assert [result.text for result in results] == ["good day", "bad day"]
    assert [(result.start_s, result.end_s) for result in results] == [(0, 1), (1, 2)]
    with pytest.raises(MerEdgeError, match=r"more than one clip \(the second starts at 1\.00 s\)"):
        recognizer.recognize(path)


def test_results_come_as_they_are_made(recognizer: Recognizer, tmp_path: Path) -> None:
    path = tone_wav(tmp_path / "talk.wav", 3.0)
    subtitles(tmp_path / "talk.srt", "good", "bad", "day")
    results = recognizer.recognize_all(path)
    assert isinstance(results, Iterator)
    assert next(results).text == "good"


def test_the_detector_is_opened_once(
    recognizer: Recognizer, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mer_edge.faces import detector

    opened = []
    real = detector.open_detector
    monkeypatch.setattr(detector, "open_detector", lambda *a: opened.append(a) or real(*a))
    fresh = Recognizer(recognizer.bundle, threads=1)
    assert [fresh.recognize(video).face_segments for _ in range(2)] == [2, 2]
    assert len(opened) == 1


def test_a_clip_longer_than_the_bundle_takes(recognizer: Recognizer, tmp_path: Path) -> None:
    with pytest.raises(MerEdgeError, match=r"long\.wav: 8 segments .* at most 6"):
        recognizer.recognize(tone_wav(tmp_path / "long.wav", 7.5))


def test_a_wrong_yunet_file_is_told_even_for_sound(recognizer: Recognizer, tmp_path: Path) -> None:
    path = tone_wav(tmp_path / "tone.wav")
    with pytest.raises(MerEdgeError, match=r"nothing\.onnx"):
        list(recognizer.recognize_all(path, ClipOptions(yunet=tmp_path / "nothing.onnx")))


def test_notice_and_notes(tmp_path: Path) -> None:
    silent = Recognizer(make_bundle(tmp_path / "bundle", notice=""), threads=1)
    assert silent.recognize(make_clip()).notes == []
    clip = replace(make_clip("good " * 50), notes=("There is no picture.",))
    first, second = silent.recognize(clip).notes
    assert first == "There is no picture."
    assert "52 tokens" in second


@pytest.mark.parametrize(
    "options", [{"face": 2}, {"yunet": Path("y.onnx")}, {"hwaccel": hwdevices_available()[0]}]
)
def test_no_option_for_what_a_bundle_does_not_look_at(
    bundle: Bundle, options: dict[str, Any]
) -> None:
    graphs = {name: graph for name, graph in bundle.manifest.graphs.items() if name != "visual"}
    recognizer = Recognizer(bundle)
    recognizer.check_options(ClipOptions(**options))
    recognizer.bundle = replace(bundle, manifest=replace(bundle.manifest, graphs=graphs))
    with pytest.raises(MerEdgeError, match=f"--{next(iter(options))} was given, but .* no faces"):
        recognizer.check_options(ClipOptions(**options))


def test_files_and_streams_share_a_detector(
    bundle: Bundle, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mer_edge.faces import detector
    from runtime.stream.session import Session
    from runtime.stream.source import parse_source

    opened = []
    real = detector.open_detector
    monkeypatch.setattr(detector, "open_detector", lambda *a: opened.append(a) or real(*a))
    fresh = Recognizer(bundle, threads=1)
    assert fresh.recognize(video).face_segments == 2
    with Session(fresh, parse_source(str(video))) as session:
        assert [result.face_segments for result in session.results()] == [1, 2]
    assert len(opened) == 1
