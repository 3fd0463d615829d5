"""Bundle: a directory that holds an exported model. The contract between export and runtime.

``manifest.json``, ``tokenizer.json``, ``constants.safetensors``, ``golden.safetensors`` and one
``.onnx`` file per graph. Engines are never part of it: they are a device-local cache.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

BUNDLE_SCHEMA_VERSION = 1
GRAPHS = ("text", "audio", "visual", "fusion")


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a graph."""

    name: str
    dtype: str
    """NumPy's name: ``float32``, ``int64``, ``uint8``, ``bool``."""
    shape: list[int | str]
    """Fixed sizes as numbers, dynamic ones by name: ``segments``, ``batch``, ``tokens``."""


@dataclass(frozen=True)
class GraphSpec:
    """One ONNX file and what it takes and gives."""

    file: str
    """Relative to the bundle; may not leave it."""
    sha256: str
    precision: str
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]


@dataclass(frozen=True)
class ShapeRange:
    """The sizes of a dynamic dimension for which the graphs are made."""

    minimum: int
    optimum: int
    maximum: int


@dataclass(frozen=True)
class Preprocessing:
    """What the media side must have done; the runtime refuses a bundle that wants otherwise."""

    sample_rate_hz: int
    segment_hop_samples: int
    segment_samples: int
    face_size_px: int


@dataclass(frozen=True)
class Parity:
    """What the export measured against PyTorch before it let the bundle out."""

    max_abs_logit_difference: float
    tolerance: float
    cases: int
    """Combinations of batch, segments, tokens and modality subsets that were compared."""


@dataclass(frozen=True)
class Manifest:
    """``manifest.json``."""

    schema_version: int
    variant: str
    """``MER-SEM-MBT``"""
    preset: str
    labels: list[str]
    thresholds: list[float]
    """Per label: a probability above it is a decision."""
    text_size: int
    audio_size: int
    visual_size: int
    max_tokens: int
    """Of the text encoder, [CLS] and [SEP] included; longer text is truncated."""
    preprocessing: Preprocessing
    graphs: dict[str, GraphSpec]
    """Keys ``text``, ``audio``, ``visual``, ``fusion``."""
    files: dict[str, str]
    """SHA-256 of every other file of the bundle: tokenizer.json, constants, golden tensors."""
    shape_ranges: dict[str, ShapeRange]
    """Keys ``segments``, ``batch``, ``tokens``."""
    target: str
    """``cpu``"""
    parity: Parity
    notice: str = ""
    """What whoever uses the bundle must know, for example that it has learned from drawings."""
    provenance: dict[str, str] = field(default_factory=dict)
    """Versions, commit and training run."""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle on disk."""

    path: Path
    manifest: Manifest

    @classmethod
    def load(cls, path: str | Path) -> Bundle:
        """Read and verify a bundle: schema, hashes, every file inside the directory.

        Raises:
            MerEdgeError: what is wrong and with which file.
        """
        raise NotImplementedError
