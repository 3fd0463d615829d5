"""A training run's result on disk. The contract between train and export.

A directory with ``config.json`` (sizes, labels, thresholds, notice, provenance),
``model.safetensors`` and ``tokenizer.json``.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mer_edge.errors import MerEdgeError
from mer_edge.files import new_directory
from mer_edge.model.checkpoint_files import (
    CONFIG_FILE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    checkpoint_directory,
)
from mer_edge.model.config import ModelConfig
from mer_edge.model.mer import MerModel
from mer_edge.model.weights import assign_weights, check_finite

CHECKPOINT_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class CheckpointConfig:
    """``config.json``."""

    schema_version: int
    model: ModelConfig
    thresholds: list[float]
    """Per label: a probability above it is a decision."""
    notice: str = ""
    """What whoever uses the model must know."""
    provenance: dict[str, str] = field(default_factory=dict)
    """Versions, data and command of the training run."""


@dataclass(frozen=True)
class Checkpoint:
    """A loaded training run; the model is in evaluation mode on the CPU."""

    model: MerModel
    tokenizer_path: Path
    thresholds: list[float]
    notice: str
    provenance: dict[str, str]


def save_checkpoint(
    directory: Path,
    model: MerModel,
    tokenizer_json: str,
    thresholds: list[float],
    notice: str = "",
    provenance: dict[str, str] | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Write a checkpoint as a new directory; either all of it is there or nothing.

    Raises:
        MerEdgeError: the directory exists, a weight is not finite, or the disk says no.
    """
    with new_directory(directory, "saving the checkpoint", overwrite=overwrite) as temporary:
        write_checkpoint(temporary, model, tokenizer_json, thresholds, notice, provenance)


def write_checkpoint(
    directory: Path,
    model: MerModel,
    tokenizer_json: str,
    thresholds: list[float],
    notice: str = "",
    provenance: dict[str, str] | None = None,
) -> None:
    """Write the three files into a directory that exists (say, one that is itself temporary)."""
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()
    }
    check_finite(tensors, directory)
    _check_thresholds(directory, thresholds, model.config)
    config = CheckpointConfig(
        CHECKPOINT_SCHEMA_VERSION, model.config, thresholds, notice, provenance or {}
    )
    encoded = msgspec.json.format(msgspec.json.encode(config), indent=2)
    (directory / CONFIG_FILE).write_bytes(encoded + b"\n")
    (directory / TOKENIZER_FILE).write_text(tokenizer_json, encoding="utf-8")
    save_file(tensors, directory / WEIGHTS_FILE)
    # safetensors makes files that only their owner may read.
    shutil.copymode(directory / CONFIG_FILE, directory / WEIGHTS_FILE)


def load_checkpoint(directory: Path) -> Checkpoint:
    """Read and check a checkpoint: a run's best one, or the directory that is one itself.

    Raises:
        MerEdgeError: a file is missing or damaged, the configuration makes no network, or the
            weights are not exactly those of the network, or not finite.
    """
    if not directory.is_dir():
        raise MerEdgeError(f"{directory} is no directory; expected one that mer-edge train made")
    directory = checkpoint_directory(directory)
    for name in (CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE):
        if not (directory / name).is_file():
            raise MerEdgeError(
                f"{directory}: {name} is missing; expected a directory that mer-edge train made"
            )
    config = _read_config(directory / CONFIG_FILE)
    weights_path = directory / WEIGHTS_FILE
    try:
        tensors = load_file(weights_path)
    except (SafetensorError, OSError) as error:
        raise MerEdgeError(
            f"{weights_path}: not a readable safetensors file ({error}); train again"
        ) from error
    check_finite(tensors, weights_path)
    with torch.random.fork_rng(devices=[]):
        model = MerModel(config.model)
    assign_weights(model, tensors, weights_path)
    return Checkpoint(
        model.eval(),
        directory / TOKENIZER_FILE,
        config.thresholds,
        config.notice,
        config.provenance,
    )


def _read_config(path: Path) -> CheckpointConfig:
    try:
        raw = msgspec.json.decode(path.read_bytes())
        version = raw.get("schema_version") if isinstance(raw, dict) else None
        if version != CHECKPOINT_SCHEMA_VERSION:
            raise MerEdgeError(
                f"{path}: schema version {version!r}; expected {CHECKPOINT_SCHEMA_VERSION}; "
                "use the release of mer-edge that made it, or train again"
            )
        config = msgspec.convert(raw, CheckpointConfig)
    except (msgspec.MsgspecError, OSError) as error:
        raise MerEdgeError(
            f"{path}: not a checkpoint's configuration ({error}); expected the file that "
            "mer-edge train wrote"
        ) from error
    _check_thresholds(path, config.thresholds, config.model)
    return config


def _check_thresholds(path: Path, thresholds: list[float], config: ModelConfig) -> None:
    if len(thresholds) != len(config.labels):
        raise MerEdgeError(
            f"{path}: {len(thresholds)} thresholds for {len(config.labels)} labels; "
            "expected one each"
        )
    if not all(0.0 <= threshold <= 1.0 for threshold in thresholds):
        raise MerEdgeError(f"{path}: thresholds {thresholds}; expected numbers in [0, 1]")
