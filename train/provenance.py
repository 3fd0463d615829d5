"""Where a run comes from: versions, commit, data."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import mer_edge
from mer_edge.samples.sample import Sample

PACKAGES = ("torch", "torchvision", "transformers", "tokenizers", "numpy", "av", "onnxruntime")
"""Those whose version can change a run's figures."""


def versions() -> dict[str, str]:
    """Version of Python, of this project and of each of ``PACKAGES`` that is installed."""
    found = {"python": platform.python_version(), "mer-edge": mer_edge.__version__}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def fingerprint(samples: Sequence[Sample]) -> str:
    """SHA-256 over what every sample says of itself and the sizes of its files, in their order.

    Tells data sets apart without reading gigabytes of video. Where the data lies does not count:
    a copy of it elsewhere is the same data.
    """
    digest = hashlib.sha256()
    for sample in samples:
        name = None if sample.media is None else sample.media.name
        sizes = [] if sample.media is None else _sizes(sample.media)
        digest.update(repr((asdict(sample) | {"media": name}, sizes)).encode())
    return digest.hexdigest()


def _sizes(media: Path) -> list[tuple[str, int]]:
    """Name and bytes of the file, or of those of the folder; none where there is nothing."""
    if media.is_dir():
        # A link to nothing has no size, and preparing the clip has said what is wrong with it.
        return sorted((file.name, file.stat().st_size) for file in media.iterdir() if file.exists())
    return [(media.name, media.stat().st_size)] if media.exists() else []
