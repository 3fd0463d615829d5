"""Subtitles, from a file (.srt, .vtt) or from a stream inside the media, as utterances."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mer_edge.errors import MerEdgeError
from mer_edge.text.cues import Cue, Utterance, follow, plain_text
from mer_edge.text.utf8 import has_words, read_utf8

__all__ = ["SUBTITLE_SUFFIXES", "Utterance", "embedded_subtitles", "read_subtitles"]

SUBTITLE_SUFFIXES = (".srt", ".vtt")

MAX_CUE_CHARACTERS = 20_000
"""Nobody reads more in one cue; pysubs2 takes minutes over a megabyte of brackets."""
_ARROW = re.compile(r"\d\s*-->|-->\s*-?\d")
"""A line that means to be a cue's times, well written or not."""
_TIMES = {
    format_: re.compile(rf"\s*{time}\s*-->\s*{time}(\s.*)?", re.ASCII)
    for format_, time in (
        ("srt", r"\d{1,2}:\d{1,2}:\d{1,2}[.,]\d{1,3}"),
        ("vtt", r"(?:\d{1,4}:)?\d{2}:\d{2}\.\d{3}"),
    )
}
"""What pysubs2 reads right; of anything else it takes a part that fits, or nothing."""
_EXAMPLE = {
    "srt": "00:00:01,000 --> 00:00:02,500",
    "vtt": "00:00:01.000 --> 00:00:02.500",
}
_WORD_TIME = re.compile(r"<\d[\d:.]*>")
"""WebVTT's karaoke tags, which pysubs2 leaves in and, two on a line, takes for a cue's times."""
_NEXT_NUMBER = ("", "0")
"""pysubs2 drops a last line that is a number, taking it for the next cue's: one to drop."""


def read_subtitles(path: Path) -> list[Utterance]:
    """The utterances of a SubRip or WebVTT file, sorted by time, at least one.

    Tags, speaker names, positions, comments and styles are left out; lines of one cue are joined
    by a space; cues without words are skipped.

    Raises:
        MerEdgeError: the file cannot be read, is not UTF-8, has no cue, a line of times that
            cannot be read, a cue that does not end after it starts, or cues that overlap.
    """
    text = re.sub(r"\r\n?", "\n", read_utf8(path))
    # pysubs2's WebVTT reader is its SubRip reader with other times: blocks are told apart here.
    is_vtt = path.suffix.lower() == ".vtt" or text.lstrip().startswith("WEBVTT")
    format_ = "vtt" if is_vtt else "srt"
    cues = [
        _parse_cue(path, number, first_line, lines, format_)
        for number, (first_line, lines) in enumerate(_cue_blocks(text, is_vtt), start=1)
    ]
    utterances = follow(cues, path.name, "")
    if not utterances:
        found = "no cue with words" if cues else "no cue"
        raise MerEdgeError(
            f"{path}: {found}; expected cues: a line like {_EXAMPLE[format_]} and the words below "
            "it; name another file"
        )
    return utterances


def _cue_blocks(text: str, is_vtt: bool) -> Iterator[tuple[int, list[str]]]:
    """The line number and the lines of each cue: its times, its words, the next one's number.

    In WebVTT a blank line ends a cue, so that what follows (a NOTE, a STYLE, the next cue's name)
    is nobody's text. In SubRip only the next cue does: files with blank lines inside are common.
    """
    lines: list[str] = []
    first_line = 0
    for number, line in enumerate(text.split("\n"), start=1):
        if _ARROW.search(line):
            if lines:
                yield first_line, lines
            first_line, lines = number, [line]
        elif is_vtt and not line and lines:
            yield first_line, [*lines, *_NEXT_NUMBER]
            lines = []
        elif lines:
            lines.append(line)
    if lines:
        yield first_line, [*lines, *_NEXT_NUMBER]


def _parse_cue(path: Path, number: int, first_line: int, lines: list[str], format_: str) -> Cue:
    from pysubs2 import SSAFile

    if not _TIMES[format_].fullmatch(lines[0]):
        raise MerEdgeError(
            f"{path}: line {first_line} is '{lines[0].strip()[:60]}'; expected the two times of "
            f"cue {number} like {_EXAMPLE[format_]}; correct that line"
        )
    words = _WORD_TIME.sub("", "\n".join(lines[1:]))
    if len(words) > MAX_CUE_CHARACTERS:
        raise MerEdgeError(
            f"{path}: cue {number} at line {first_line} has more than {MAX_CUE_CHARACTERS} "
            "characters; expected what is said at once; divide the cue or put the text into a .txt"
        )
    try:
        (event,) = SSAFile.from_string(f"{lines[0]}\n{words}\n", format_=format_)
    except ValueError as error:
        raise MerEdgeError(
            f"{path}: cue {number} at line {first_line} has other times among its words; "
            "expected words only; write those times out or remove them"
        ) from error
    return Cue(number, event.start / 1000, event.end / 1000, plain_text(event.text))


def embedded_subtitles(path: Path) -> list[Utterance] | None:
    """The utterances of the first subtitle stream of text in a media file, a default one first.

    Times are on the clock of picture and sound, which starts at 0. None where there is no such
    stream (subtitles that are pictures are ignored) or no cue in it has words.

    Raises:
        MerEdgeError: the file cannot be opened, the stream cannot be decoded, or its cues overlap
            or do not end after they start.
    """
    import av

    from mer_edge.media.container import open_container
    from mer_edge.media.scan import scan_media

    source = f"{path.name}: embedded subtitles"
    with open_container(path) as container:
        stream = _text_stream(container)
        if stream is None:
            return None
        origin_s = scan_media(path).origin_s
        try:
            cues = list(_stream_cues(container, stream, origin_s))
        except (av.FFmpegError, OSError) as error:
            raise MerEdgeError(
                f"{source}: cannot be decoded ({error.strerror}); expected UTF-8 subtitles; "
                "choose the text with --text-file, --text or --no-text"
            ) from error
    instead = ", or choose the text with --text-file, --text or --no-text"
    return follow(cues, source, instead) or None


def _text_stream(container: Any) -> Any | None:
    from av.stream import Disposition

    streams = [
        stream
        for stream in container.streams.subtitles
        if stream.codec_context is not None and stream.codec_context.codec.text_sub
    ]
    default = [stream for stream in streams if stream.disposition & Disposition.default]
    return next(iter(default + streams), None)


def _stream_cues(container: Any, stream: Any, origin_s: float) -> Iterator[Cue]:
    number = 0
    for packet in container.demux(stream):
        if packet.pts is None or not packet.size:
            continue
        text = " ".join(plain_text(rect.dialogue.decode()) for rect in packet.decode())
        if not has_words(text):
            continue  # mov_text fills the pauses with these: they are not cues to a person
        number += 1
        start_s = float(packet.pts * packet.time_base) - origin_s
        end_s = start_s + float((packet.duration or 0) * packet.time_base)
        if start_s < 0 < end_s:
            start_s = 0.0
        if start_s >= 0:  # else it is over before picture and sound begin
            yield Cue(number, start_s, end_s, text)
