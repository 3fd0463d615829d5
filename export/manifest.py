"""The manifest of a bundle: what the model is, what the graphs take, where it all comes from."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path

import onnx
import onnxruntime
import onnxscript
import torch

from export.options import ExportOptions
from mer_edge import __version__
from mer_edge.bundle import (
    BUNDLE_SCHEMA_VERSION,
    Calibration,
    GraphSpec,
    Manifest,
    Parity,
    PrecisionChoice,
    Preprocessing,
    ShapeRange,
    sha256_of,
)
from mer_edge.checkout import commit
from mer_edge.model.checkpoint import Checkpoint
from mer_edge.model.config import ModelConfig, variant_name
from mer_edge.segments import (
    FACE_SIZE_PX,
    SAMPLE_RATE_HZ,
    SEGMENT_HOP_SAMPLES,
    SEGMENT_SAMPLES,
)

TYPICAL_SEGMENTS = 5
MAX_CLIP_SEGMENTS = 256
"""Four minutes, far more than an utterance; only the small fusion graph sees so many at once."""
MAX_SEGMENTS = 64
"""Of one run of an encoder, which bounds its memory; longer clips take several runs."""
MAX_BATCH = 16
TYPICAL_TOKENS = 32


def make_manifest(
    checkpoint: Checkpoint,
    graphs: Mapping[str, GraphSpec],
    files: Iterable[Path],
    parity: Parity,
    options: ExportOptions,
    calibration: Calibration | None,
    choice: PrecisionChoice | None = None,
) -> Manifest:
    """Describe the files of a bundle that lie written in its directory."""
    config = checkpoint.model.config
    return Manifest(
        schema_version=BUNDLE_SCHEMA_VERSION,
        variant=variant_name(config),
        preset=config.preset,
        labels=list(config.labels),
        thresholds=list(checkpoint.thresholds),
        text_size=config.text.hidden_size if config.uses_text else 0,
        audio_size=config.audio.embedding_size if config.has_audio else 0,
        visual_size=config.visual.embedding_size if config.has_visual else 0,
        max_tokens=config.text.max_position_embeddings if config.uses_text else 0,
        preprocessing=Preprocessing(
            SAMPLE_RATE_HZ, SEGMENT_HOP_SAMPLES, SEGMENT_SAMPLES, FACE_SIZE_PX
        ),
        graphs=dict(graphs),
        files={file.name: sha256_of(file) for file in files},
        shape_ranges=shape_ranges(config),
        target=options.target,
        precision=options.precision,
        calibration=calibration,
        choice=choice,
        parity=parity,
        notice=checkpoint.notice,
        provenance=provenance(checkpoint.provenance),
        task=config.task,
        temperatures=checkpoint.temperatures,
        min_confidence=checkpoint.min_confidence,
        evidence=checkpoint.evidence,
    )


def shape_ranges(config: ModelConfig) -> dict[str, ShapeRange]:
    """The sizes the graphs are meant for; engines that want bounds are built for these."""
    ranges = {"batch": ShapeRange(1, 1, MAX_BATCH)}
    if config.has_audio or config.has_visual:
        ranges["segments"] = ShapeRange(1, TYPICAL_SEGMENTS, MAX_SEGMENTS)
        ranges["clip_segments"] = ShapeRange(1, TYPICAL_SEGMENTS, MAX_CLIP_SEGMENTS)
    if config.uses_text:
        most = config.text.max_position_embeddings
        ranges["tokens"] = ShapeRange(3, min(TYPICAL_TOKENS, most), most)
    return ranges


def provenance(training: Mapping[str, str]) -> dict[str, str]:
    """Versions, commit and date of this export, and the training run's own as ``training.*``."""
    packages = (torch, onnx, onnxscript, onnxruntime)
    found = {
        "mer-edge": __version__,
        **{package.__name__: str(package.__version__) for package in packages},
        "python": platform.python_version(),
        "exported": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    if known := commit():
        found["commit"] = known
    return found | {f"training.{key}": value for key, value in training.items()}
