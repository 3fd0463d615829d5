"""What the user says of a stream's text, or what lies beside a file or in it: known beforehand."""

from __future__ import annotations

from pathlib import Path

from mer_edge.text.source import TextOptions, find_text, read_text_file
from runtime.stream.source import Source


def given_texts(
    source: Source, options: TextOptions, *, look_inside: bool
) -> list[tuple[str | None, float]]:
    """Texts and from when on each is said, in order; None where nobody says anything.

    A file has its own text however it is read. What is transcribed is not known beforehand.

    Args:
        look_inside: whether a file has a stream of subtitles, or may have one.

    Raises:
        MerEdgeError: a text is empty, or the file that it should come from is not usable.
    """
    if options.asr_model is not None:
        return []
    if source.kind == "file":
        found = find_text(Path(source.target), options, None, look_inside=look_inside)
    elif options.text_file is not None:
        found = read_text_file(options.text_file)
    else:
        return [(options.text, 0.0)]
    if found.utterances is None:
        return [(found.text, 0.0)]
    texts: list[tuple[str | None, float]] = []
    for said in found.utterances:
        texts += [(said.text, said.start_s), (None, said.end_s)]
    return texts
