"""Many files through shared batches: the same decisions, in their order, in bounded memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mer_edge.bundle import Bundle
from mer_edge.clip import Clip
from mer_edge.clips import ClipOptions
from mer_edge.errors import MerEdgeError
from mer_edge.result import Result
from runtime.batch.job import JobOptions, infer_files, open_pipeline
from runtime.batch.mixer import Mixer, Stopped, Waiting
from runtime.batch.pipeline import Pace, Pipeline
from runtime.batch.record import FileRecord
from runtime.batch.sources import Source, file_source
from runtime.recognizer import Recognizer
from tests.runtime.bundles import make_clip
from tests.runtime.media import face_video, tone_wav

Loader = Callable[..., Iterator[Clip]]


def clip_of(text: str = "good day", segments: int = 1, source: str = "clip.mp4") -> Clip:
    return make_clip(text, [0.25] * segments, [51] * segments, source)


def sources(names: Sequence[str]) -> list[Source]:
    return [file_source(Path(name), ClipOptions()) for name in names]


def loaded(monkeypatch: pytest.MonkeyPatch, load: Loader) -> None:
    monkeypatch.setattr("mer_edge.clips.load_clips", load)


def plain(result: Result) -> dict[str, Any]:
    """What does not depend on when it was made."""
    return {
        name: getattr(result, name) for name in Result.__dataclass_fields__ if name != "timings_ms"
    }


def test_as_one_by_one(bundle: Bundle, recognizer: Recognizer, tmp_path: Path) -> None:
    face_video(tmp_path / "b.mp4")
    for number in range(7):
        tone_wav(tmp_path / f"{number}.wav", 1.0 + 0.3 * number)
        (tmp_path / f"{number}.txt").write_text("good day " * (1 + number % 3))
    (tmp_path / "3.wav").write_bytes(b"no sound")
    # One path is one, not its letters.
    records = list(infer_files(bundle, str(tmp_path), JobOptions(batch=3, workers=2, threads=2)))
    names = ["0.wav", "1.wav", "2.wav", "3.wav", "4.wav", "5.wav", "6.wav", "b.mp4"]
    assert [Path(record.source).name for record in records] == names
    for record in records:
        if record.source.endswith("3.wav"):
            assert record.results == ()
            assert record.error is not None
            assert record.error.startswith(f"{tmp_path / '3.wav'}: ")
            continue
        alone = list(recognizer.recognize_all(record.source))
        assert [plain(result) for result in record.results] == [plain(r) for r in alone]
        assert all(
            result.timings_ms["total"] >= result.timings_ms["media"] > 0
            for result in record.results
        )


def test_a_batch_is_clips_of_several_files(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    recognizer = Recognizer(bundle, threads=1)
    sizes: list[int] = []
    run = recognizer.run_batch

    def counted(clips: Sequence[Clip]) -> list[Result]:
        sizes.append(len(clips))
        return run(clips)

    monkeypatch.setattr(recognizer, "run_batch", counted)
    loaded(monkeypatch, lambda path, *_, **__: iter([clip_of(segments=2, source=str(path))]))
    pipeline = Pipeline(recognizer, Pace(batch=3, workers=1, lanes=1))
    records = list(pipeline.run(sources([f"{n}.mp4" for n in range(7)])))
    assert [record.source for record in records] == [f"{n}.mp4" for n in range(7)]
    assert sorted(sizes) == [1, 3, 3]


def test_one_bad_clip_costs_the_others_nothing(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than the bundle takes, in the middle of a file, in a batch with others."""

    def load(path: Path, *_: object, **__: object) -> Iterator[Clip]:
        for number in range(3):
            long = path.name == "bad.mp4" and number == 1
            yield clip_of(segments=7 if long else 1, source=str(path))

    loaded(monkeypatch, load)
    pipeline = open_pipeline(bundle, JobOptions(batch=3, workers=1, threads=1))
    records = list(pipeline.run(sources(["a.mp4", "bad.mp4", "c.mp4"])))
    assert [len(record.results) for record in records] == [3, 1, 3]
    assert [record.error is None for record in records] == [True, False, True]
    assert "bad.mp4: 7 segments" in str(records[1].error)


@pytest.mark.parametrize("error", [ZeroDivisionError("0"), PermissionError(13, "no", "x")])
def test_what_nobody_foresaw_is_one_files_error(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def load(path: Path, *_: object, **__: object) -> Iterator[Clip]:
        yield clip_of(segments=1, source=str(path))
        if path.name == "bad.mp4":
            raise error

    loaded(monkeypatch, load)
    pipeline = open_pipeline(bundle, JobOptions(workers=1, threads=1))
    bad, good = pipeline.run(sources(["bad.mp4", "good.mp4"]))
    assert (len(bad.results), len(good.results), good.error) == (1, 1, None)
    told = "this is a defect" if isinstance(error, ZeroDivisionError) else "bad.mp4: [Errno 13]"
    assert told in str(bad.error)


def test_memory_is_bounded(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that stands still stops decoding; when it goes on, nothing is missing."""
    monkeypatch.setattr("runtime.batch.pipeline.WAITING_SEGMENTS", 10)
    recognizer = Recognizer(bundle, threads=1)
    gate = threading.Event()
    run = recognizer.run_batch
    made: list[int] = []

    def gated(clips: Sequence[Clip]) -> list[Result]:
        gate.wait()
        return run(clips)

    def load(path: Path, *_: object, **__: object) -> Iterator[Clip]:
        for number in range(100):
            made.append(number)
            yield clip_of(segments=2, source=str(path))

    monkeypatch.setattr(recognizer, "run_batch", gated)
    loaded(monkeypatch, load)
    records = Pipeline(recognizer, Pace(batch=2, workers=1, lanes=1)).run(sources(["a.mp4"]))
    got: list[FileRecord] = []
    reader = threading.Thread(target=lambda: got.extend(records))
    reader.start()
    while not made or made[-1] < 5:
        time.sleep(0.01)
    time.sleep(0.2)
    assert len(made) <= 2 + 5 + 1  # a batch on its way, five of two segments waiting, one held
    gate.set()
    reader.join()
    assert len(got[0].results) == 100


def test_leaving_early_ends_the_threads(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded(monkeypatch, lambda path, *_, **__: iter([clip_of(segments=1, source=str(path))]))
    before = threading.active_count()
    pipeline = open_pipeline(bundle, JobOptions(workers=2, threads=2, batch=1))
    records = pipeline.run(sources([f"{n}.mp4" for n in range(1000)]))
    assert next(records).source == "0.mp4"
    records.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_a_long_file_is_left_at_the_next_picture(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mer_edge.media.stopping import check_stopped

    looked = threading.Event()

    def load(source: Path, *_: object, **__: object) -> Iterator[Clip]:
        if source.name == "long":
            while True:  # an hour of pictures, each of which asks whether it is still wanted
                looked.set()
                check_stopped()
                time.sleep(0.001)
        yield clip_of(source=str(source))

    loaded(monkeypatch, load)
    before = threading.active_count()
    pipeline = Pipeline(Recognizer(bundle, threads=1), Pace(batch=1, workers=2, lanes=1))
    records = pipeline.run(sources(["short", "long", "later"]))
    assert next(records).error is None
    assert looked.wait(10)
    records.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_more_clips_than_the_bundle_takes(bundle: Bundle) -> None:
    with pytest.raises(MerEdgeError, match=r"--batch 4: the bundle .* takes at most 3 clips"):
        open_pipeline(bundle, JobOptions(batch=4))
    with pytest.raises(MerEdgeError, match="--workers 0: expected a whole number from 1 to"):
        open_pipeline(bundle, JobOptions(workers=0))
    with pytest.raises(MerEdgeError, match="--threads 0"):
        open_pipeline(bundle, JobOptions(threads=0))


def waiting(text: str, number: int = 0) -> Waiting:
    return Waiting(clip_of(text, segments=1), number, 0, 0.0)


def test_texts_of_like_length_run_together() -> None:
    mixer = Mixer(batch=2, takers=1, most_segments=100)
    for text in ("a" * 50, "b", "c" * 49, "d" * 2):
        mixer.put(waiting(text))
    assert [w.clip.text for w in mixer.take()] == ["a" * 50, "c" * 49]
    assert [w.clip.text for w in mixer.take()] == ["b", "dd"]


def test_the_rest_is_shared_out() -> None:
    mixer = Mixer(batch=8, takers=2, most_segments=100)
    for number in range(5):
        mixer.put(waiting("a", number))
    mixer.finish()
    assert [len(mixer.take()) for _ in range(4)] == [3, 1, 1, 0]


def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.batch.mixer.PATIENCE_S", 0.05)
    mixer = Mixer(batch=8, takers=1, most_segments=100)
    mixer.put(waiting("alone"))
    assert [w.clip.text for w in mixer.take()] == ["alone"]


def test_stopping_wakes_everybody() -> None:
    mixer = Mixer(batch=1, takers=1, most_segments=1)
    mixer.put(waiting("a"))
    ended: list[str] = []

    def put() -> None:
        try:
            mixer.put(waiting("b"))
        except Stopped:
            ended.append("put")

    thread = threading.Thread(target=put)
    thread.start()
    mixer.stop()
    thread.join(5)
    assert ended == ["put"]
    assert mixer.take() == []


def test_the_lengths_of_a_run_are_bounded(bundle: Bundle) -> None:
    """One lane's runs stay within the bundle's range and near the caches."""
    pipeline = open_pipeline(bundle, JobOptions(threads=1))
    most = bundle.manifest.shape_ranges["segments"].maximum
    chain = pipeline._recognizer.chain
    assert chain.segments_a_run == {"audio": min(most, 16), "visual": 3}
    parts = chain.prepare_segments("visual", np.zeros((5, 224, 224, 3), np.uint8))
    assert [part.shape[0] for part in parts] == [3, 2]
    assert np.isfinite(
        pipeline._recognizer.run_batch([clip_of(segments=6)])[0].probabilities["happy"]
    )
