"""Subtitles, from a file (.srt, .vtt) or from a stream inside the media, as utterances."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mer_edge.errors import MerEdgeError
from mer_edge.text.cues import Cue, Utterance, follow, plain_text
from mer_edge.text.utf8 import read_utf8

__all__ = ["SUBTITLE_SUFFIXES", "Utterance", "embedded_subtitles", "read_subtitles"]

SUBTITLE_SUFFIXES = (".srt", ".vtt")

_ARROW = re.compile(r"\d\s*-->|-->\s*-?\d")
"""A line that means to be a cue's times, well written or not."""
_TIMES = re.compile(r"\s*[\d:.,]+\s*-->\s*[\d:.,]+(\s.*)?")
_WORD_TIME = re.compile(r"<\d[\d:.]*>")
"""WebVTT's karaoke tags, which pysubs2 leaves in and, two on a line, takes for a cue's times."""


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
    cues = [
        _parse_cue(path, number, first_line, lines, "vtt" if is_vtt else "srt")
        for number, (first_line, lines) in enumerate(_cue_blocks(text, is_vtt), start=1)
    ]
    utterances = follow(cues, path.name, "")
    if not utterances:
        found = f"{len(cues)} cues, all without words" if cues else "no cue"
        raise MerEdgeError(
            f"{path}: {found}; expected cues like '00:00:01{'.' if is_vtt else ','}000 --> "
            f"00:00:02{'.' if is_vtt else ','}500' and the words below; name another file"
        )
    return utterances


def _cue_blocks(text: str, is_vtt: bool) -> Iterator[tuple[int, list[str]]]:
    """The line number and the lines of each cue, beginning with its times.

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
            yield first_line, lines
            lines = []
        elif lines:
            lines.append(line)
    if lines:
        yield first_line, lines


def _parse_cue(path: Path, number: int, first_line: int, lines: list[str], format_: str) -> Cue:
    from pysubs2 import SSAFile

    body = _WORD_TIME.sub("", "\n".join(lines[1:]))
    # pysubs2 drops a last line that is a number, taking it for the next cue's: give it one to drop.
    events = SSAFile.from_string(f"{lines[0]}\n{body}\n\n0\n", format_=format_)
    if not _TIMES.fullmatch(lines[0]) or len(events) != 1:
        raise MerEdgeError(
            f"{path}: line {first_line} is '{lines[0].strip()[:60]}'; expected the two times of "
            f"cue {number} like 00:00:01{',' if format_ == 'srt' else '.'}000 --> "
            f"00:00:02{',' if format_ == 'srt' else '.'}500; correct that line"
        )
    event = events[0]
    return Cue(number, event.start / 1000, event.end / 1000, plain_text(event.text))


def embedded_subtitles(path: Path) -> list[Utterance] | None:
    """The utterances of the first subtitle stream of text in a media file, a default one first.

    Times are relative to the container's start. None where there is no such stream (subtitles
    that are pictures are ignored) or no cue in it has words.

    Raises:
        MerEdgeError: the file cannot be opened, the stream cannot be decoded, or its cues overlap
            or do not end after they start.
    """
    import av

    source = f"{path.name}: embedded subtitles"
    try:
        with av.open(str(path)) as container:
            stream = _text_stream(container)
            cues = [] if stream is None else list(_stream_cues(container, stream))
    except (av.FFmpegError, OSError) as error:
        raise MerEdgeError(
            f"{source}: cannot be decoded ({error.strerror}); expected UTF-8 subtitles in a whole "
            "media file; use --text-file, --text or --no-text instead"
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


def _stream_cues(container: Any, stream: Any) -> Iterator[Cue]:
    import av

    container_start_s = (container.start_time or 0) / av.time_base
    number = 0
    for packet in container.demux(stream):
        if packet.pts is None or not packet.size:
            continue
        start_s = float(packet.pts * packet.time_base) - container_start_s
        end_s = start_s + float((packet.duration or 0) * packet.time_base)
        lines = [rect.dialogue.decode("utf-8") for rect in packet.decode()]
        text = plain_text("\n".join(lines))
        # mov_text fills the pauses with empty samples: they are not cues to a person.
        if text:
            number += 1
            yield Cue(number, start_s, end_s, text)
