"""A training run's result on disk. The contract between train and export.

A directory with ``config.json`` (sizes, labels, how it decides, notice, provenance),
``model.safetensors`` and ``tokenizer.json``.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mer_edge.decision import UNCALIBRATED, DecisionRule, Temperatures, decision_fault
from mer_edge.errors import MerEdgeError
from mer_edge.evidence import Evidence
from mer_edge.files import new_directory, new_file
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
    """Per label: a probability above it is a decision. Empty of exclusive labels."""
    notice: str = ""
    """What whoever uses the model must know."""
    provenance: dict[str, str] = field(default_factory=dict)
    """Versions, data and command of the training run."""
    temperatures: Temperatures = UNCALIBRATED
    """What logits are divided by before they become probabilities."""
    min_confidence: float | None = None
    """Of exclusive labels: a most probable label below it is no decision."""
    evidence: Evidence | None = None
    """What sound and faces needed to have a say in the clips it learned from."""


@dataclass(frozen=True)
class Checkpoint:
    """A loaded training run; the model is in evaluation mode on the CPU."""

    model: MerModel
    tokenizer_path: Path
    thresholds: list[float]
    notice: str
    provenance: dict[str, str]
    temperatures: Temperatures = UNCALIBRATED
    min_confidence: float | None = None
    evidence: Evidence | None = None

    @property
    def rule(self) -> DecisionRule:
        """How its logits become a decision."""
        task, fused = self.model.config.task, self.temperatures.fused
        return DecisionRule(task, tuple(self.thresholds), fused)


def save_checkpoint(
    directory: Path,
    model: MerModel,
    tokenizer_json: str,
    thresholds: list[float],
    notice: str = "",
    provenance: dict[str, str] | None = None,
    *,
    evidence: Evidence | None = None,
    overwrite: bool = False,
) -> None:
    """Write a checkpoint as a new directory; either all of it is there or nothing.

    Raises:
        MerEdgeError: the directory exists, a weight is not finite, or the disk says no.
    """
    with new_directory(directory, "saving the checkpoint", overwrite=overwrite) as temporary:
        write_checkpoint(
            temporary, model, tokenizer_json, thresholds, notice, provenance, evidence=evidence
        )


def write_checkpoint(
    directory: Path,
    model: MerModel,
    tokenizer_json: str,
    thresholds: list[float],
    notice: str = "",
    provenance: dict[str, str] | None = None,
    *,
    evidence: Evidence | None = None,
) -> None:
    """Write the three files into a directory that exists (say, one that is itself temporary)."""
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()
    }
    check_finite(tensors, directory)
    config = CheckpointConfig(
        CHECKPOINT_SCHEMA_VERSION,
        model.config,
        thresholds,
        notice,
        provenance or {},
        evidence=evidence,
    )
    _check_decision(directory, config)
    (directory / CONFIG_FILE).write_bytes(_encoded(config))
    (directory / TOKENIZER_FILE).write_text(tokenizer_json, encoding="utf-8")
    save_file(tensors, directory / WEIGHTS_FILE)
    # safetensors makes files that only their owner may read.
    shutil.copymode(directory / CONFIG_FILE, directory / WEIGHTS_FILE)


def calibrate_checkpoint(
    directory: Path, temperatures: Temperatures, min_confidence: float | None = None
) -> None:
    """Write into a checkpoint how its probabilities are calibrated; the weights stay.

    The thresholds of independent labels move with the temperature of the fused logits, so that no
    decision changes.

    Args:
        directory: a run, whose best checkpoint it is, or the checkpoint itself.
        temperatures: fitted on clips that the network has not learned from.
        min_confidence: of exclusive labels alone; None: every clip is decided.

    Raises:
        MerEdgeError: no checkpoint there, or values that cannot be.
    """
    path = checkpoint_directory(directory) / CONFIG_FILE
    config = _read_config(path)
    thresholds = config.thresholds
    if thresholds and 0 < temperatures.fused < math.inf:
        power = config.temperatures.fused / temperatures.fused
        thresholds = [_scaled(threshold, power) for threshold in thresholds]
    calibrated = replace(
        config, thresholds=thresholds, temperatures=temperatures, min_confidence=min_confidence
    )
    _check_decision(path, calibrated)
    with new_file(path, "calibrating the checkpoint") as temporary:
        temporary.write_bytes(_encoded(calibrated))


def _scaled(probability: float, power: float) -> float:
    """The probability whose logit is ``power`` times that of ``probability``."""
    yes, no = math.pow(probability, power), math.pow(1 - probability, power)
    return yes / (yes + no)


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
        config.temperatures,
        config.min_confidence,
        config.evidence,
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
    _check_decision(path, config)
    return config


def _encoded(config: CheckpointConfig) -> bytes:
    return msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n"


def _check_decision(path: Path, config: CheckpointConfig) -> None:
    model = config.model
    fault = decision_fault(
        len(model.labels), model.task, config.thresholds, config.temperatures, config.min_confidence
    )
    if fault:
        raise MerEdgeError(f"{path}: {fault}")
