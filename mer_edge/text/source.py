"""Where the text of a clip comes from: what the user says, what lies beside it, what is in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mer_edge.errors import MerEdgeError
from mer_edge.text.subtitles import (
    SUBTITLE_SUFFIXES,
    Utterance,
    embedded_subtitles,
    read_subtitles,
)
from mer_edge.text.utf8 import one_spaced, read_utf8

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TEXT_SUFFIXES = (*SUBTITLE_SUFFIXES, ".txt")
"""In the order in which they are looked for beside a clip."""


@dataclass(frozen=True)
class TextOptions:
    """What the user says of the text; at most one of the four.

    Raises:
        MerEdgeError: more than one is given.
    """

    text: str | None = None
    """The words themselves (``--text``)."""
    text_file: Path | None = None
    """A .txt, .srt or .vtt file (``--text-file``)."""
    asr_model: Path | None = None
    """Directory of a Whisper model to transcribe the sound with (``--asr``)."""
    no_text: bool = False
    """Go without text, whatever lies beside the clip or in it (``--no-text``)."""

    def __post_init__(self) -> None:
        given = [
            option
            for option, is_given in (
                ("--text", self.text is not None),
                ("--text-file", self.text_file is not None),
                ("--asr", self.asr_model is not None),
                ("--no-text", self.no_text),
            )
            if is_given
        ]
        if len(given) > 1:
            raise MerEdgeError(
                f"{' and '.join(given)} were given together; expected one source of the text; "
                "leave out all but one"
            )


@dataclass(frozen=True)
class TextFound:
    """The text of a source: of the whole, or utterance by utterance, or none."""

    text: str | None
    """What is said in the whole source; None where ``utterances`` has it, or nothing is known."""
    utterances: tuple[Utterance, ...] | None
    """What is said when, sorted, without overlaps; None where no times are known."""
    origin: str
    """``--text``, a file's name, ``embedded subtitles``, ``asr``, ``asr (no speech found)``,
    ``asr (no sound)`` or ``none``."""


def find_text(
    media: Path,
    options: TextOptions,
    waveform: Callable[[], NDArray[np.float32]] | None,
    *,
    look_inside: bool = True,
) -> TextFound:
    """The text of ``media``, a file or a directory of frames.

    What the user says comes first; then a .srt, .vtt or .txt with the clip's name beside it (the
    only one in a directory of frames); then a subtitle stream inside the file.

    Args:
        waveform: gives the sound to transcribe, 16 kHz mono, shape (samples,); None without
            sound.
        look_inside: False for a file that is known to have no subtitle stream: it is not opened.

    Raises:
        MerEdgeError: the text is empty, or the file or model it should come from is not usable.
    """
    if options.no_text:
        return TextFound(None, None, "none")
    if options.text is not None:
        return TextFound(one_spaced(options.text, "--text"), None, "--text")
    if options.text_file is not None:
        return read_text_file(options.text_file)
    if options.asr_model is not None:
        return _transcribed(options.asr_model, waveform)
    beside = _text_in(media) if media.is_dir() else _text_beside(media)
    if beside is not None:
        return read_text_file(beside)
    closed = media.is_dir() or not look_inside
    embedded = None if closed else embedded_subtitles(media)
    if embedded is not None:
        return TextFound(None, tuple(embedded), "embedded subtitles")
    return TextFound(None, None, "none")


def read_text_file(path: Path) -> TextFound:
    """The text of a .txt, .srt or .vtt file.

    Raises:
        MerEdgeError: another extension, no such file, not UTF-8, empty, or bad cues.
    """
    suffix = path.suffix.lower()
    if suffix not in TEXT_SUFFIXES:
        raise MerEdgeError(
            f"{path}: the extension is '{path.suffix}'; expected one of "
            f"{', '.join(TEXT_SUFFIXES)}; convert or rename the file"
        )
    if suffix in SUBTITLE_SUFFIXES:
        return TextFound(None, tuple(read_subtitles(path)), path.name)
    return TextFound(one_spaced(read_utf8(path), str(path)), None, path.name)


def _text_beside(media: Path) -> Path | None:
    for suffix in TEXT_SUFFIXES:
        for candidate in (media.with_suffix(suffix), media.with_suffix(suffix.upper())):
            if candidate.is_file() and candidate != media:
                return candidate
    return None


def _text_in(frames: Path) -> Path | None:
    found = sorted(
        path
        for path in frames.iterdir()
        if path.suffix.lower() in TEXT_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if len(found) > 1:
        raise MerEdgeError(
            f"{frames}: {len(found)} text files ({', '.join(path.name for path in found[:4])}); "
            "expected at most one in a directory of frames; choose one with --text-file"
        )
    return found[0] if found else None


def _transcribed(model_dir: Path, waveform: Callable[[], NDArray[np.float32]] | None) -> TextFound:
    from mer_edge.text.asr import open_model, transcribe

    if waveform is None:
        open_model(model_dir)  # a wrong --asr is an error for silent clips too
        return TextFound(None, None, "asr (no sound)")
    text = transcribe(model_dir, waveform())
    return TextFound(text, None, "asr") if text else TextFound(None, None, "asr (no speech found)")
