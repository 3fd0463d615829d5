"""TensorRT's timing cache on disk: what was measured once need not be measured again.

The file is its SHA-256 and then what TensorRT serialised, so that a damaged one, which native code
would read, is left aside. Its name holds GPU and version: measurements are of no use elsewhere.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from mer_edge.files import new_file
from mer_edge.tensorrt_api import TensorRT

if TYPE_CHECKING:
    import tensorrt as trt

DIGEST_BYTES = 32


def attach(api: TensorRT, config: trt.IBuilderConfig, file: Path | None) -> None:
    """Give a build what earlier ones measured; nothing where the flavour measures nothing."""
    if file is None or not api.has_timing_cache:
        return
    cache = config.create_timing_cache(read(file))
    if cache is None or not config.set_timing_cache(cache, False):
        # TensorRT found it to be of another device or version: begin anew.
        config.set_timing_cache(config.create_timing_cache(b""), False)


def save(api: TensorRT, config: trt.IBuilderConfig, file: Path | None) -> None:
    """Write what this build measured, together with what others wrote in the meantime."""
    if file is None or not api.has_timing_cache:
        return
    cache = config.get_timing_cache()
    if cache is None:
        return
    others = read(file)
    if others:
        cache.combine(config.create_timing_cache(others), False)
    data = bytes(cache.serialize())
    with new_file(file, "saving the timing cache") as temporary:
        temporary.write_bytes(hashlib.sha256(data).digest() + data)


def read(file: Path) -> bytes:
    """The serialised cache; empty where there is none or it is damaged."""
    try:
        content = file.read_bytes()
    except OSError:
        return b""
    digest, data = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    return data if hashlib.sha256(data).digest() == digest else b""
