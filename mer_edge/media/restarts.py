"""Where the decoding of a video can start afresh: with a frame after which none refers before it.

A container's key frames are more than that: H.264 and HEVC have frames to start watching from whose
followers still refer back (open groups of pictures, intra refresh). There the packet itself is
asked for the type of its picture (ITU-T H.264 table 7-1, H.265 table 7-1).
"""

from __future__ import annotations

from typing import Any

WHOLE_KEY_FRAMES = frozenset(
    {
        *("mjpeg", "ffv1", "prores", "dnxhd", "huffyv", "ffvhuff", "utvideo", "rawvideo", "png"),
        *("mpeg1video", "mpeg2video", "mpeg4", "vp8", "vp9", "av1", "libdav1d"),
    }
)
"""Codecs in which nothing that is shown after a key frame refers to what is before it."""
OPEN_GROUPS = frozenset({"mpeg1video", "mpeg2video", "mpeg4"})
"""Of these, codecs in which frames that are shown before a key frame may come after it, and refer
to it and to what is before it."""
_H264_IDR, _H264_PICTURES = {5}, range(1, 6)
_HEVC_IDR, _HEVC_PICTURES = {16, 17, 18, 19, 20}, range(32)


class Restarts:
    """Tells the packets of one stream at which decoding can start.

    ``leading`` says whether frames that are shown before such a packet's may come after it.
    """

    def __init__(self, stream: Any) -> None:
        self._codec = stream.codec_context.name
        self.leading = self._codec in OPEN_GROUPS
        extradata = bytes(stream.codec_context.extradata or b"")
        self._length_bytes = _length_bytes(self._codec, extradata)

    def at(self, packet: Any) -> bool:
        """Whether nothing that is shown from this packet's frame on refers to one before it."""
        if not packet.is_keyframe:
            return False
        if self._codec in WHOLE_KEY_FRAMES:
            return True
        if self._codec not in ("h264", "hevc"):
            return False
        wanted = _H264_IDR if self._codec == "h264" else _HEVC_IDR
        return self._picture_type(bytes(packet)) in wanted

    def _picture_type(self, data: bytes) -> int | None:
        """The type of the first NAL unit that is part of a picture."""
        position = self._first_unit(data)
        while 0 <= position < len(data):
            if self._codec == "h264":
                kind, pictures = data[position] & 0x1F, _H264_PICTURES
            else:
                kind, pictures = data[position] >> 1 & 0x3F, _HEVC_PICTURES
            if kind in pictures:
                return kind
            position = self._next_unit(data, position)
        return None

    def _first_unit(self, data: bytes) -> int:
        return self._length_bytes or self._after_start_code(data, 0)

    def _next_unit(self, data: bytes, position: int) -> int:
        if not self._length_bytes:
            return self._after_start_code(data, position)
        length = int.from_bytes(data[position - self._length_bytes : position], "big")
        return position + length + self._length_bytes

    def _after_start_code(self, data: bytes, position: int) -> int:
        found = data.find(b"\0\0\1", position)
        return found + 3 if found >= 0 else len(data)


def _length_bytes(codec: str, extradata: bytes) -> int:
    """Bytes of each NAL unit's length (ISO/IEC 14496-15); 0 where start codes part the units."""
    if codec == "h264" and len(extradata) > 4 and extradata[0] == 1:
        return (extradata[4] & 3) + 1
    if codec == "hevc" and len(extradata) > 21 and extradata[0] == 1:
        return (extradata[21] & 3) + 1
    return 0
