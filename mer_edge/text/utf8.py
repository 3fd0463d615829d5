"""Reading a person's text file: UTF-8, of sane size, with something to read in it."""

from __future__ import annotations

from pathlib import Path

from mer_edge.errors import MerEdgeError

MAX_TEXT_BYTES = 10_000_000
"""The subtitles of a whole day of talk have about 2 MB: more than 10 MB is something else."""

_BYTE_ORDER_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


def read_utf8(path: Path, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """The text of a UTF-8 file, with or without a byte order mark.

    Raises:
        MerEdgeError: the file cannot be read, has more than ``max_bytes``, no byte at all, or is
            not UTF-8; the message names the first byte that is not, and how to convert the file.
    """
    data = _read_bytes(path, max_bytes)
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            raise MerEdgeError(f"{path}: the file is {encoding}; {_convert(path, encoding)}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MerEdgeError(
            f"{path}: not UTF-8: byte 0x{data[error.start]:02X} at offset {error.start}; "
            f"{_convert(path, 'WINDOWS-1252')} (if that is what it is)"
        ) from error
    if "\0" in text:
        raise MerEdgeError(
            f"{path}: not text: byte 0x00 at offset {data.index(0)}; expected UTF-8 text; name a "
            f"text file or, if this one is UTF-16 without a byte order mark, convert it: "
            f"iconv -f UTF-16LE -t UTF-8 {path.name}"
        )
    return text


def has_words(text: str) -> bool:
    """Whether there is anything visible in ``text``: spaces and format characters are nothing."""
    return any(char.isprintable() and not char.isspace() for char in text)


def one_spaced(text: str, origin: str) -> str:
    """``text`` with every run of white space as one space.

    Raises:
        MerEdgeError: there is nothing visible in it, or it came from bytes that are not UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise MerEdgeError(
            f"{origin}: character {error.start} is no Unicode character; expected UTF-8 text; "
            "type it again or put it into a UTF-8 file and name that with --text-file"
        ) from error
    if not has_words(text):
        raise MerEdgeError(
            f"{origin}: the text is empty; expected at least one word; "
            "give the words that are said, or --no-text to go without"
        )
    return " ".join(text.split())


def _read_bytes(path: Path, max_bytes: int) -> bytes:
    if path.is_dir():
        raise MerEdgeError(f"{path}: a directory; expected a text file; name the file in it")
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise MerEdgeError(
            f"{path}: cannot be read ({error.strerror}); expected a text file; check the name"
        ) from error
    if len(data) > max_bytes:
        raise MerEdgeError(
            f"{path}: more than {max_bytes / 1e6:g} MB; expected the text of a clip; "
            "name a smaller text file"
        )
    if not data:
        raise MerEdgeError(f"{path}: the file is empty (0 bytes); expected text; write it again")
    return data


def _convert(path: Path, encoding: str) -> str:
    return (
        "expected UTF-8; convert it: "
        f"iconv -f {encoding} -t UTF-8 {path.name} > {path.stem}.utf8{path.suffix}"
    )
