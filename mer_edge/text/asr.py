"""Speech to text with faster-whisper (extra [asr]) and a model the user has: nothing is fetched."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_edge.errors import MerEdgeError, MissingExtraError
from mer_edge.text.utf8 import has_words

BEAM_SIZE = 5
"""Whisper's own default: hypotheses kept while decoding; 1 is faster and a little worse."""

MODEL_FILES = ("model.bin", "config.json", "tokenizer.json")
VOCABULARIES = ("vocabulary.json", "vocabulary.txt")


def transcribe(model_dir: Path, waveform: NDArray[np.float32]) -> str:
    """The words in a waveform, empty where nobody speaks; the same words every time.

    Args:
        model_dir: a Whisper model in CTranslate2's layout.
        waveform: shape (samples,), 16 kHz mono in [-1, 1].

    Raises:
        MerEdgeError: ``model_dir`` holds no such model.
        MissingExtraError: faster-whisper is not installed.
    """
    model = open_model(model_dir)
    if not waveform.size:
        return ""
    # One temperature: Whisper's fall-back to higher ones draws at random. The voice activity
    # filter (its model is inside faster-whisper) keeps silence and noise from becoming words.
    segments, _ = model.transcribe(
        np.ascontiguousarray(waveform, dtype=np.float32),
        beam_size=BEAM_SIZE,
        temperature=0.0,
        condition_on_previous_text=False,
        vad_filter=True,
    )
    text = " ".join(" ".join(segment.text for segment in segments).split())
    return text if has_words(text) else ""


def open_model(model_dir: Path) -> Any:
    """The faster-whisper model in ``model_dir``, loaded once per process.

    Raises:
        MerEdgeError: ``model_dir`` holds no such model.
        MissingExtraError: faster-whisper is not installed.
    """
    _check_directory(model_dir)
    return _load(model_dir.resolve())


def _check_directory(model_dir: Path) -> None:
    # faster-whisper takes a name that is no directory for one to download, and fetches a missing
    # tokenizer.json: both are refused here.
    expected = (
        "expected a local directory with a Whisper model for CTranslate2 "
        f"({', '.join(MODEL_FILES)}, vocabulary.json or .txt)"
    )
    if not model_dir.is_dir():
        found = "a file" if model_dir.exists() else "no such directory"
        raise MerEdgeError(
            f"--asr {model_dir}: {found}; {expected}; nothing is downloaded by name: fetch a model "
            "first, for example with: hf download Systran/faster-whisper-tiny.en --local-dir DIR"
        )
    missing = [name for name in MODEL_FILES if not (model_dir / name).is_file()]
    if not any((model_dir / name).is_file() for name in VOCABULARIES):
        missing.append("vocabulary.json or vocabulary.txt")
    if missing:
        raise MerEdgeError(
            f"--asr {model_dir}: without {', '.join(missing)}; {expected}; a Whisper model in "
            "another layout is converted with ct2-transformers-converter --copy_files "
            "tokenizer.json"
        )


@lru_cache(maxsize=1)
def _load(model_dir: Path) -> Any:
    try:
        from faster_whisper import WhisperModel
    except ImportError as error:
        raise MissingExtraError("--asr", "faster-whisper", "asr") from error
    try:
        return WhisperModel(
            str(model_dir), device="cpu", compute_type="int8", local_files_only=True
        )
    except Exception as error:  # CTranslate2 and tokenizers raise RuntimeError and bare Exception
        raise MerEdgeError(
            f"--asr {model_dir}: cannot be loaded ({error}); "
            "expected a whole Whisper model for CTranslate2; copy it again"
        ) from error
