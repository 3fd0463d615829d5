"""Which other files an ONNX graph has weights in: what ONNX calls external data.

A graph is a protobuf message (github.com/onnx/onnx, ``onnx.proto``). As much of it is read here as
leads to tensors, without a package that a device would need for nothing else.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

PARTS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {
        **{5: "tensor", 10: "tensor", 22: "sparse tensor", 23: "sparse tensor"},
        **{6: "graph", 11: "graph"},
    },
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
    "entry": {1: "key", 2: "value"},
}
"""Per message, the numbers of the fields that lead to external data."""
SMALL = ("function", "node")
"""Of these there are many, and few lead to any: the key is looked for before they are read."""
KEY = b"location"
VARINT, EIGHT_BYTES, LENGTH, GROUP, END_OF_GROUP, FOUR_BYTES = range(6)


def external_files(graph: Path) -> set[str]:
    """The files that tensors of ``graph`` lie in, as it names them: relative to its own directory.

    Of what is no protobuf message, none; engines refuse it.

    Raises:
        OSError: it cannot be read.
    """
    with graph.open("rb") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # an empty file
            return set()
        with data:
            return set(_locations(data))


def _locations(data: mmap.mmap) -> Iterator[str]:
    left = [("model", 0, len(data))]
    while left:
        kind, start, end = left.pop()
        if kind in SMALL and data.find(KEY, start, end) < 0:
            continue
        try:
            parts = [
                (part, first, last)
                for number, first, last in _fields(data, start, end)
                if (part := PARTS[kind].get(number)) is not None
            ]
        except IndexError:  # the message ends inside a field
            continue
        if kind != "entry":
            left += parts
            continue
        entry = {part: data[first:last] for part, first, last in parts}
        if entry.get("key") == KEY:
            yield entry.get("value", b"").decode("utf-8", "replace")


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, begin and end of the fields that have a length.

    A group has none; what is in it, which ONNX has nowhere, is taken for what is around it.

    Raises:
        IndexError: the message ends inside a field.
    """
    while at < end:
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == LENGTH:
            size, at = _varint(data, at)
            if at + size > end:
                raise IndexError
            yield tag >> 3, at, at + size
            at += size
        elif kind == VARINT:
            _, at = _varint(data, at)
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            at += 8 if kind == EIGHT_BYTES else 4
        elif kind not in (GROUP, END_OF_GROUP):
            raise IndexError


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    """A number, seven bits a byte, and where it ends."""
    value = data[at]
    at += 1
    if value < 0x80:
        return value, at
    value &= 0x7F
    for shift in range(7, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise IndexError
