"""Where a run comes from: versions, commit, data."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import mer_edge
from train.datasets.sample import Sample

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


def commit() -> str:
    """The checkout's commit, with ``+changes`` if tracked files differ; "" outside a checkout."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return ""  # installed: a repository around the environment is not this project's
    head = _git(root, "rev-parse", "HEAD")
    changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    return f"{head}+changes" if head and changed else head


def fingerprint(samples: Sequence[Sample]) -> str:
    """SHA-256 over every sample's file name, size, text, labels and split, in their order.

    Tells data sets apart without reading gigabytes of video.
    """
    digest = hashlib.sha256()
    for sample in samples:
        size = sample.media.stat().st_size
        line = (sample.media.name, size, sample.text, sample.labels, sample.split)
        digest.update(repr(line).encode())
    return digest.hexdigest()


def _git(root: Path, *arguments: str) -> str:
    try:
        ran = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return ran.stdout.strip()
