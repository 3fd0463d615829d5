import hashlib
import json
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from mer_edge.errors import MerEdgeError
from mer_edge.faces.detector import open_detector
from mer_edge.samples.manifest import read_manifest
from train.datasets.drawn import draw_clip, generate, plan_clips
from train.datasets.encode import write_mp4
from train.datasets.sentences import EMOTIONS, ambiguous_sentences


def frames_of(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def hashes(folder: Path) -> dict[str, str]:
    """Of what was generated; other tests prepare the same clips."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    files = [path for path in files if ".prepared" not in path.parts]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_the_files_are_h264_and_aac_of_two_to_four_seconds(drawn_data: Path) -> None:
    samples = read_manifest(drawn_data)
    assert len(samples) == 16
    for sample in samples:
        assert sample.media.stat().st_size < 150_000
        with av.open(str(sample.media)) as container:
            assert container.format.name == "mov,mp4,m4a,3gp,3g2,mj2"
            (video,), (audio,) = container.streams.video, container.streams.audio
            assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
            assert (video.width, video.height, video.average_rate) == (320, 240, 15)
            assert (audio.rate, audio.channels) == (16_000, 1)
            video_s = float(video.duration * video.time_base)
            audio_s = float(audio.duration * audio.time_base)
        assert 2.0 <= audio_s <= 3.7
        assert video_s == pytest.approx(audio_s, abs=0.1)


def test_sound_and_pictures_survive_the_encoding(drawn_data: Path) -> None:
    plan = plan_clips(16, 3)[5]
    clip = draw_clip(plan, 3)
    media = drawn_data / plan.media
    for drawn, decoded in zip(clip.frames, frames_of(media), strict=True):
        assert np.abs(drawn.astype(float) - decoded).mean() < 6
    with av.open(str(media)) as container:
        decoded = list(container.decode(audio=0))
    start = round(float(decoded[0].pts * decoded[0].time_base) * 16_000)
    sound = np.concatenate([frame.to_ndarray()[0] for frame in decoded])[max(0, -start) :]
    count = min(len(sound), len(clip.waveform))
    assert count > len(clip.waveform) - 1024
    assert np.corrcoef(sound[:count], clip.waveform[:count])[0, 1] > 0.9


def test_the_manifest_says_what_each_modality_shows(drawn_data: Path) -> None:
    lines = (drawn_data / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    for line, plan in zip(map(json.loads, lines), plan_clips(16, 3), strict=True):
        assert line["labels"] == [plan.emotion]
        assert set(line["shown"]) == {"audio", "visual", "text"}
        for shown in line["shown"].values():
            assert shown["emotion"] in EMOTIONS
            assert 0 <= shown["strength"] <= 1
            assert shown["emotion"] == plan.emotion or shown["strength"] <= 0.2
        assert (line["text"] in ambiguous_sentences()) == (line["shown"]["text"]["strength"] == 0)


def test_the_detector_finds_every_face(drawn_data: Path) -> None:
    detector = open_detector()
    for sample in read_manifest(drawn_data):
        frames = frames_of(sample.media)
        (face,) = detector.detect(frames[len(frames) // 2])
        assert face.score > 0.8
        assert face.box[2] - face.box[0] > 50


@pytest.mark.parametrize("clips", [12, 13, 240])
def test_people_and_sentences_stay_in_their_split(clips: int) -> None:
    plans = plan_clips(clips, 1)
    by_split = {s: [p for p in plans if p.split == s] for s in ("train", "valid", "test")}
    assert sum(map(len, by_split.values())) == clips
    for values in ({p.person for p in plans}, {p.text for p in plans}):
        parts = [
            values & ({p.person for p in ps} | {p.text for p in ps}) for ps in by_split.values()
        ]
        assert all(parts)
        assert sum(map(len, parts)) == len(values)


def test_labels_are_balanced_and_people_say_each_emotion_once() -> None:
    plans = plan_clips(240, 0)
    assert Counter(p.split for p in plans) == {"train": 160, "valid": 40, "test": 40}
    for split in ("train", "valid", "test"):
        assert len(set(Counter(p.emotion for p in plans if p.split == split).values())) == 1
    assert set(Counter((p.person, p.emotion) for p in plans).values()) == {1}
    assert len({p.text for p in plans}) == 240


def test_about_a_sixth_of_the_clips_are_vague_in_each_modality() -> None:
    plans = plan_clips(2000, 0)
    for modality, chance in {"audio": 0.15, "visual": 0.15, "text": 0.25}.items():
        vague = np.mean([p.shown[modality].strength <= 0.2 for p in plans])
        assert vague == pytest.approx(chance, abs=0.03)


def test_the_same_seed_gives_the_same_files_with_any_number_of_processes(
    drawn_data: Path, tmp_path: Path
) -> None:
    """One process has drawn the session's clips, two draw them again and tell how far they are."""
    steps: list[tuple[int, int]] = []
    again = tmp_path / "again"
    generate(again, 16, 3, lambda done, total: steps.append((done, total)), workers=2)
    assert steps == [(i, 16) for i in range(1, 17)]
    assert hashes(again) == hashes(drawn_data)
    assert len(hashes(again)) == 17


def test_another_seed_gives_other_clips() -> None:
    first, other = plan_clips(12, 0), plan_clips(12, 1)
    assert [p.text for p in first] != [p.text for p in other]
    a, b = draw_clip(first[0], 0), draw_clip(first[0], 1)
    assert not np.array_equal(next(a.frames), next(b.frames))
    assert not np.array_equal(a.waveform[:30_000], b.waveform[:30_000])


def test_refuses_too_few_clips_a_negative_seed_and_an_existing_directory(tmp_path: Path) -> None:
    with pytest.raises(MerEdgeError, match="11 clips asked for; expected at least 12"):
        generate(tmp_path / "a", 11, 0)
    with pytest.raises(MerEdgeError, match="seed -1"):
        generate(tmp_path / "a", 12, -1)
    (tmp_path / "b").mkdir()
    (tmp_path / "b/own").touch()
    with pytest.raises(MerEdgeError, match="exists already"):
        generate(tmp_path / "b", 12, 0)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["b", "own"]


def test_a_clip_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    steps: list[tuple[int, int]] = []

    def full(path: Path, *clip: object) -> None:
        calls.append(path)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        write_mp4(path, *clip)  # type: ignore[arg-type]

    monkeypatch.setattr("train.datasets.drawn.write_mp4", full)
    with pytest.raises(MerEdgeError, match="the disk is full while drawing the data set"):
        generate(tmp_path / "a", 12, 0, lambda done, total: steps.append((done, total)), workers=1)
    assert steps == [(1, 12), (2, 12)]
    assert list(tmp_path.iterdir()) == []
