"""Does FFmpeg know the options of ``--stream-format``? It takes any, and forgets what it does not.

PyAV does not say which options were left over. FFmpeg's own tables do, and they are asked through
the library that PyAV has loaded, by the public functions of libavformat and libavutil.
"""

from __future__ import annotations

import ctypes
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


def check_format_options(given: str, format_: str, options: list[str], protocol: str) -> None:
    """Refuse options that neither the format nor the protocol has.

    Where libavformat cannot be asked, as on Windows, nothing is refused.

    Args:
        given: ``--stream-format`` as it was given.
        format_: FFmpeg's name of it.
        options: their names.
        protocol: of the source: ``udp``, ``http``, ..., ``file`` or ``pipe``.

    Raises:
        MerEdgeError: names the first that is not known.
    """
    library = _library()
    if library is None:
        return
    classes = list(_classes(library, format_, protocol))
    for option in options:
        if option not in OF_ANY_PROTOCOL and not any(_has(library, c, option) for c in classes):
            raise MerEdgeError(
                f"found --stream-format {given}, but FFmpeg's {format_} over {protocol} has no "
                f"option '{option}' and would pass it by; expected one that it has; correct it, or "
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


def _has(library: Any, class_: int, option: str) -> bool:
    object_ = ctypes.c_void_p(class_)
    name = option.encode("utf-8", "surrogateescape")
    return bool(library.av_opt_find(ctypes.byref(object_), name, None, DECODING, OF_A_CLASS))


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
    except (OSError, AttributeError):
        return None
    return library
