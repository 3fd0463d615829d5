"""Bundle: a directory that holds an exported model. The contract between export and runtime.

``manifest.json``, ``golden.safetensors`` and one ``.onnx`` file per graph; with a text graph also
``tokenizer.json`` and ``constants.safetensors``. Engines are never part of it: they are a
device-local cache.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mer_edge import starter_bundle
from mer_edge.decision import (
    UNCALIBRATED,
    DecisionRule,
    Task,
    Temperatures,
    check_min_confidence,
)
from mer_edge.errors import MerEdgeError
from mer_edge.evidence import Evidence as Evidence
from mer_edge.parity.record import Parity as Parity
from mer_edge.result import ModelInfo
from mer_edge.segments import MODALITIES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mer_edge.golden import GoldenCase

BUNDLE_SCHEMA_VERSION = 2
GRAPHS = ("text", "audio", "visual_stem", "visual", "fusion")
"""In the order they may run."""
STEMS = {"visual": "visual_stem"}
"""Per encoder, the graph of what comes before the text has a say, where it has one of its own."""
MAPS = {"visual": "visual_map"}
"""Per encoder with a stem, the tensor between the two."""
FUSED = ("logits", "decisions", "weights")
"""What the fusion graph gives."""
MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"
CONSTANTS = "constants.safetensors"
GOLDEN = "golden.safetensors"
HASH_CHUNK_BYTES = 1 << 20


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
    """``fp32``, ``fp16`` or ``int8``; inputs and outputs are of the same types in all."""
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    rewrites: list[str] = field(default_factory=list)
    """What was done to the traced graph without changing what it computes."""
    kept_higher: list[str] = field(default_factory=list)
    """Of an INT8 graph: the products and convolutions that are not in eight bits."""
    largest_pair_sum: int | None = None
    """Of an INT8 graph: what two neighbouring products of bytes can add up to at most. Up to 32,767
    every processor computes the same (``mer_edge.processor``); None: an older export, not known."""


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
class Calibration:
    """The real clips of an export: which the ranges of INT8 come from, and the gate's."""

    data: str
    """The manifest as it was named; its clips are not part of the bundle."""
    clips: int
    seed: int
    clips_sha256: str
    """Of the names of the clips the ranges come from, in their order, a line each."""
    compared_clips: int
    """Others, on which the graphs were compared with the network."""


@dataclass(frozen=True)
class PrecisionPlan:
    """One mix of precisions that ``--precision auto`` measured."""

    precisions: dict[str, str]
    latency_ms: float
    """Sum of the graphs' least times on the machine of the export, one clip of typical size."""
    bytes: int
    agreement: float
    """Share of label decisions on the compared clips that are those of fp32."""
    mean_probability_change: float


@dataclass(frozen=True)
class PrecisionChoice:
    """How ``--precision auto`` chose."""

    budget: float
    """Share of label decisions that may change."""
    chosen: PrecisionPlan
    plans: list[PrecisionPlan]
    """All that were measured."""


@dataclass(frozen=True)
class ModelCard:
    """What whoever runs the bundle reads before its first result; a line each."""

    name: str
    summary: str
    """What it recognises and how well, with the data that was measured on."""
    licence: str
    """Of the weights."""
    intended_use: str
    """What it may be used for and what not, in one sentence."""


@dataclass(frozen=True)
class Manifest:
    """``manifest.json``."""

    schema_version: int
    variant: str
    """The paper's name of the network: ``MER-SEM-MBT``"""
    preset: str
    labels: list[str]
    thresholds: list[float]
    """Per label: a probability above it is a decision. Empty where the labels are exclusive."""
    text_size: int
    """Features of the text graph; this and the next two are 0 without the graph."""
    audio_size: int
    visual_size: int
    max_tokens: int
    """Of the text encoder, [CLS] and [SEP] included; longer text is truncated. 0 without one."""
    preprocessing: Preprocessing
    graphs: dict[str, GraphSpec]
    """Keys ``fusion`` and, as far as the variant has them, ``text``, ``audio``, ``visual``, and
    ``visual_stem`` where text guides the visual encoder."""
    files: dict[str, str]
    """SHA-256 of every other file of the bundle: golden tensors, tokenizer.json, constants."""
    shape_ranges: dict[str, ShapeRange]
    """Keys ``batch``, with an audio or visual graph ``segments``, with a text graph ``tokens``, and
    ``clip_segments`` where the fusion graph takes another number of segments a clip than an
    encoder takes a run."""
    target: str
    """``cpu``, ``cuda``, ``tensorrt``, ``jetson-orin``, ``jetson-thor``: whose INT8 it is."""
    parity: Parity
    precision: str = "fp32"
    """As it was asked for, ``auto`` too; each graph says its own."""
    calibration: Calibration | None = None
    """None: no real clips were given."""
    choice: PrecisionChoice | None = None
    """Of ``--precision auto``."""
    notice: str = ""
    """What whoever uses the bundle must know, for example that it has learned from drawings."""
    provenance: dict[str, str] = field(default_factory=dict)
    """Versions, commit and training run."""
    card: ModelCard | None = None
    """Of a model that is given away, such as the built-in starter."""
    task: Task = "multilabel"
    """``multilabel``: independent labels, a sigmoid each. ``multiclass``: exclusive ones, a softmax
    over them and the most probable one is the decision."""
    temperatures: Temperatures = UNCALIBRATED
    """What the fused logits, and those of each modality alone, are divided by before they become
    probabilities. The graphs give logits as the network does."""
    min_confidence: float | None = None
    """Of exclusive labels: where the most probable one is less probable than this the answer is
    "uncertain". None: every clip is decided."""
    evidence: Evidence | None = None
    """What sound and faces need to have a say; None: to be there."""

    @property
    def model(self) -> ModelInfo:
        """Which model this is and what must be known of it, as each result says."""
        if self.card is None:
            return ModelInfo(f"{self.variant} ({self.preset})", self.notice)
        return ModelInfo(self.card.name, " ".join(filter(None, (self.card.summary, self.notice))))

    @property
    def rule(self) -> DecisionRule:
        """How the fused logits become the decision."""
        return DecisionRule(self.task, tuple(self.thresholds), self.temperatures.fused)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Whose decisions the fusion graph weighs; text may guide the encoders without one."""
        inputs = {tensor.name for tensor in self.graphs["fusion"].inputs}
        return tuple(name for name in MODALITIES if name in inputs)


@dataclass(frozen=True)
class Bundle:
    """A verified bundle on disk."""

    path: Path
    manifest: Manifest

    @classmethod
    def load(cls, path: str | Path | None = None) -> Bundle:
        """Read and verify a bundle: schema, hashes, every file inside the directory.

        Args:
            path: None for the built-in starter.

        Raises:
            MerEdgeError: what is wrong and with which file.
        """
        from mer_edge.bundle_checks import check_manifest, read_manifest
        from mer_edge.bundle_files import check_files

        directory = starter_bundle.STARTER if path is None else Path(path)
        manifest = read_manifest(directory)
        check_manifest(manifest, directory / MANIFEST)
        check_files(manifest, directory)
        return cls(directory, manifest)

    def with_min_confidence(self, value: float) -> Bundle:
        """The bundle with another least confidence than its own; the files stay.

        Args:
            value: a probability; 0: every clip is decided.

        Raises:
            MerEdgeError: no probability, or the labels are independent.
        """
        least = check_min_confidence(value, self.manifest.task)
        return replace(self, manifest=replace(self.manifest, min_confidence=least))

    def graph_path(self, graph: str) -> Path:
        """The ONNX file of one of ``GRAPHS`` that the bundle has."""
        return self.path / self.manifest.graphs[graph].file

    @property
    def tokenizer_path(self) -> Path:
        return self.path / TOKENIZER


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 lower-case hexadecimal digits."""
    with path.open("rb") as file:
        if sys.version_info >= (3, 11):
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256()
        while chunk := file.read(HASH_CHUNK_BYTES):
            digest.update(chunk)
        return digest.hexdigest()


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write ``manifest.json`` into a bundle's directory, once every other file is in it.

    Raises:
        MerEdgeError: the manifest is one that ``Bundle.load`` would refuse.
    """
    import msgspec

    from mer_edge.bundle_checks import check_manifest

    path = directory / MANIFEST
    check_manifest(manifest, path)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")


def load_constants(bundle: Bundle) -> dict[str, NDArray[Any]]:
    """The learned constants the runtime needs outside the graphs; only with a text graph.

    Returns:
        ``{"absent_text": float32, shape = (text_size,)}``: what takes the place of the text
        vector of a clip without text.

    Raises:
        MerEdgeError: the file is no safetensors file, or ``absent_text`` is not as stated.
    """
    import numpy as np

    path = bundle.path / CONSTANTS
    constants = _read_tensors(path)
    expected = (bundle.manifest.text_size,)
    vector = constants.get("absent_text")
    if vector is None or vector.shape != expected or vector.dtype != np.float32:
        found = "nothing" if vector is None else f"{vector.dtype} {vector.shape}"
        raise MerEdgeError(
            f"{path}: absent_text is {found}; expected float32 {expected}; export the bundle again"
        )
    if not np.isfinite(vector).all():
        raise MerEdgeError(f"{path}: absent_text has NaN or infinite values; train the model again")
    return constants


def load_golden(bundle: Bundle) -> dict[str, dict[str, dict[str, NDArray[Any]]]]:
    """Inputs and outputs of every graph that each backend must reproduce.

    Returns:
        ``{case: {graph: {tensor: array}}}``, for example ``golden["full"]["fusion"]["logits"]``.

    Raises:
        MerEdgeError: the file is not as ``mer_edge.golden`` says.
    """
    return {name: case.graphs for name, case in load_golden_cases(bundle).items()}


def load_golden_cases(bundle: Bundle) -> dict[str, GoldenCase]:
    """The golden tensors with what is present in their clips."""
    from mer_edge.golden import golden_cases

    path = bundle.path / GOLDEN
    return golden_cases(_read_tensors(path), path)


def _read_tensors(path: Path) -> dict[str, NDArray[np.generic]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors: dict[str, NDArray[np.generic]] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise MerEdgeError(
            f"{path}: not readable as safetensors ({error}); export the bundle again"
        ) from error
    return tensors
