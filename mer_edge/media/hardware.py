"""Decoding video on a device that FFmpeg knows: a GPU's or a board's decoder.

Who asks for it gets it or an error, never the CPU instead. Frames are copied back to the machine's
memory, because faces are searched on the CPU. Nothing but the errors could be tried where the
project is tested: there was no such device.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
from av.codec.hwaccel import HWAccel, hwdevices_available

from mer_edge.errors import MerEdgeError

FILES_ONLY = {"protocol_whitelist": "file"}
"""A playlist may not reach the network."""


def check_hwaccel(name: str) -> None:
    """Raise a MerEdgeError unless this FFmpeg was built for the kind of device ``name``."""
    known = sorted(hwdevices_available())
    if name not in known:
        raise MerEdgeError(
            f"found --hwaccel {name}; expected a kind of device that the FFmpeg of PyAV "
            f"{av.__version__} was built for ({', '.join(known) or 'it has none'}); choose one of "
            "them, or leave --hwaccel out to decode on the CPU"
        )


def open_on_device(path: Path, name: str) -> Any:
    """Open ``path`` so that its video is decoded on a device of the kind ``name``.

    Raises:
        MerEdgeError: FFmpeg was not built for it, this machine has none, or it cannot decode the
            file's video.
    """
    check_hwaccel(name)
    try:
        return av.open(
            str(path.absolute()),
            container_options=FILES_ONLY,
            metadata_errors="ignore",
            hwaccel=HWAccel(name, allow_software_fallback=False),
        )
    except (av.FFmpegError, OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MerEdgeError(
            f"{path}: its video cannot be decoded with --hwaccel {name} ({reason}); expected a "
            f"device of that kind that decodes this codec; leave --hwaccel out to decode on the CPU"
        ) from error


def check_on_device(path: Path, stream: Any, name: str) -> None:
    """Raise a MerEdgeError unless the device decodes ``stream``; FFmpeg may not know how."""
    if not stream.codec_context.is_hwaccel:
        raise MerEdgeError(
            f"{path}: found video in {stream.codec_context.name}, which --hwaccel {name} does not "
            "decode; expected a codec that it does; leave --hwaccel out to decode on the CPU"
        )
