"""Decisions while it happens: sound, pictures and text in, one Result per 0.96 s out.

See docs/stream.md.
"""

from runtime.stream.stream import Stream

__all__ = ["Stream"]
