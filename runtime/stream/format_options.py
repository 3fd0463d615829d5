"""Does FFmpeg know the options of ``--stream-format``, and take their values?

It takes any option, and forgets what it does not know; a value that it does not take is an error
that names neither. FFmpeg's own tables tell both, and they are asked through the library that PyAV
has loaded, by the public functions of libavformat and libavutil.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from functools import cache
from typing import Any

from mer_edge.errors import MerEdgeError

DECODING = 1 << 1
"""AV_OPT_FLAG_DECODING_PARAM: an option that a reader has."""
OF_A_CLASS = 1 << 1
"""AV_OPT_SEARCH_FAKE_OBJ: a class is asked, there is no object yet."""
OF_ANY_PROTOCOL = frozenset({"rw_timeout"})
"""Of URLContext, whose class cannot be had by name."""
CARRIERS = {
    "http": ("tcp",),
    "https": ("http", "tls", "tcp"),
    "rtmp": ("tcp",),
    "rtmps": ("rtmp", "tls", "tcp"),
    "rtp": ("udp",),
    "rtsp": ("tcp", "udp", "rtp"),
    "rtsps": ("tls", "tcp"),
}
"""What hands its options on to which protocols below it."""


MOST_BYTES = 1 << 20
"""Of the structures that have options: the largest, of UDP, has 64 KiB."""


class _Option(ctypes.Structure):
    """The public head of FFmpeg's AVOption, unchanged from 5 to 8."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("help", ctypes.c_char_p),
        ("offset", ctypes.c_int),
        ("type", ctypes.c_int),
        ("default", ctypes.c_int64),
        ("min", ctypes.c_double),
        ("max", ctypes.c_double),
    ]


class _InputFormat(ctypes.Structure):
    """The public head of FFmpeg's AVInputFormat, unchanged from 5 to 8."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("long_name", ctypes.c_char_p),
        ("flags", ctypes.c_int),
        ("extensions", ctypes.c_char_p),
        ("codec_tag", ctypes.c_void_p),
        ("private_class", ctypes.c_void_p),
    ]


def check_format_options(given: str, format_: str, options: dict[str, str], protocol: str) -> None:
    """Refuse options that neither the format nor the protocol has, and values that it cannot have.

    Where libavformat cannot be asked, as on Windows, nothing is refused.

    Args:
        given: ``--stream-format`` as it was given.
        format_: FFmpeg's name of it.
        options: names and values.
        protocol: of the source: ``udp``, ``http``, ..., ``file`` or ``pipe``.

    Raises:
        MerEdgeError: names the first that is not known, or whose value is none.
    """
    library = _library()
    if library is None:
        return
    classes = list(_classes(library, format_, protocol))
    for name, value in options.items():
        found = ((class_, _find(library, class_, name)) for class_ in classes)
        class_, option = next(((c, o) for c, o in found if o is not None), (0, None))
        if option is not None:
            why = _why_not(library, class_, option, value)
            if why is None and _is_no_rate(library, name, value):
                why = "expected frames a second"
            if why is not None:
                raise MerEdgeError(
                    f"found --stream-format {given}, but '{value}' is no value of FFmpeg's option "
                    f"'{name}' ({why}); correct it, or leave it out (ffmpeg -h demuxer={format_} "
                    "lists the options)"
                )
        elif name not in OF_ANY_PROTOCOL:
            raise MerEdgeError(
                f"found --stream-format {given}, but FFmpeg's {format_} over {protocol} has no "
                f"option '{name}' and would pass it by; expected one that it has; correct it, or "
                f"leave it out (ffmpeg -h demuxer={format_} lists them)"
            )


def _classes(library: Any, format_: str, protocol: str) -> Iterator[int]:
    yield library.avformat_get_class()
    found = library.av_find_input_format(format_.encode())
    if found and (private := _InputFormat.from_address(found).private_class):
        yield private
    for name in (protocol, *CARRIERS.get(protocol, ())):
        if of_protocol := library.avio_protocol_get_class(name.encode()):
            yield of_protocol


def _find(library: Any, class_: int, option: str) -> _Option | None:
    object_ = ctypes.c_void_p(class_)
    found = library.av_opt_find(ctypes.byref(object_), _bytes(option), None, DECODING, OF_A_CLASS)
    return _Option.from_address(found) if found else None


def _why_not(library: Any, class_: int, option: _Option, value: str) -> str | None:
    """Why an object of the class does not take the value: one of zeros is made and asked."""
    if not 0 <= option.offset < MOST_BYTES // 2:
        return None
    memory = ctypes.create_string_buffer(MOST_BYTES)
    ctypes.c_void_p.from_buffer(memory).value = class_
    code = library.av_opt_set(memory, option.name, _bytes(value), 0)
    library.av_opt_free(memory)
    if code >= 0:
        return None
    if code == -errno.ERANGE:
        return f"expected {option.min:.0f} to {option.max:.0f}"
    return os.strerror(-code) if -code in errno.errorcode else "it cannot be read"


def _is_no_rate(library: Any, name: str, value: str) -> bool:
    """Whether it is a frame rate, which devices take as a text and read later, and cannot be."""
    numbers = (ctypes.c_int * 2)()
    read: int = library.av_parse_video_rate(numbers, _bytes(value))
    return name == "framerate" and read < 0


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


@cache
def _library() -> Any | None:
    """libavformat and libavutil, by the handle of what PyAV has loaded; None where it is hidden."""
    from av.container import core

    try:
        # A look-up in a library goes on in those that it needs; not so on Windows.
        library = ctypes.CDLL(core.__file__)
        library.avformat_get_class.restype = ctypes.c_void_p
        for function in (library.av_find_input_format, library.avio_protocol_get_class):
            function.restype, function.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
        library.av_opt_find.restype = ctypes.c_void_p
        text, number = ctypes.c_char_p, ctypes.c_int
        library.av_opt_find.argtypes = [ctypes.c_void_p, text, text, number, number]
        library.av_opt_set.argtypes = [ctypes.c_void_p, text, text, number]
        library.av_opt_free.argtypes, library.av_opt_free.restype = [ctypes.c_void_p], None
        library.av_parse_video_rate.argtypes = [ctypes.c_void_p, text]
    except (OSError, AttributeError):
        return None
    return library
