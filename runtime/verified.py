"""Whether a bundle has been verified on this machine, so that ``infer`` suggests it once.

A file a bundle and engine version in the user's cache; removing them is always safe.
"""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path

from mer_edge.bundle import MANIFEST, Bundle
from mer_edge.engine_cache import cache_directory
from mer_edge.starter_bundle import in_commands

FOLDER = "verified"


def suggestion(bundle: Bundle) -> str | None:
    """What to say after the first use of an INT8 bundle here; None after that, or when it has been
    verified: bytes are where processors differ."""
    if bundle.manifest.precision != "int8" or _mark(bundle).exists():
        return None
    remember(bundle)
    named = in_commands(bundle.path)
    return f"mer-edge verify{named} checks, once a machine, that INT8 computes here what it should"


def remember(bundle: Bundle) -> None:
    """Suggest it no more. A cache that cannot be written is no error: it is suggested again."""
    mark = _mark(bundle)
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError:
        return


def _mark(bundle: Bundle) -> Path:
    try:
        engine = metadata.version("onnxruntime")
    except metadata.PackageNotFoundError:
        engine = "another engine"
    content = (bundle.path / MANIFEST).read_bytes() + engine.encode()
    return cache_directory() / FOLDER / hashlib.sha256(content).hexdigest()[:32]
