"""Decisions while it happens: sound, pictures and text in, one Result per 0.96 s out.

``Stream`` is loaded on first use: the options of the command line are here too, and ``--help`` does
not pay for it. See docs/stream.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime.stream.stream import Stream as Stream

__all__ = ["Stream"]


def __getattr__(name: str) -> Any:
    if name != "Stream":
        raise AttributeError(f"module 'runtime.stream' has no attribute {name!r}")
    from runtime.stream.stream import Stream

    return Stream
