"""Where a run stands: everything it needs to go on to the same bits after ``kill -9``.

A directory with ``state.safetensors`` (weights and Adam's moments) and ``state.json``. What is
random needs no state: it follows from the seed, the epoch, the step and the clip.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mer_edge.errors import MerEdgeError

STATE_FORMAT = 1
STATE_FILE = "state.json"
TENSORS_FILE = "state.safetensors"


@dataclass(frozen=True)
class EpochRecord:
    """One epoch; an entry of ``history.json``."""

    epoch: int
    """From 1."""
    train_loss: float
    """Of the decision, without the terms of modalities and teacher: mean over the clips, while the
    weights change."""
    valid_loss: float
    valid_f1: float
    """Average F1 of the validation split at thresholds tuned on it: what selects the model. Of
    exclusive labels, which have no thresholds, that of the most probable one (macro-F1)."""
    valid_accuracy: float
    """Mean over the labels; of exclusive labels the share of clips that are right."""
    valid_weighted_accuracy: float
    """Mean over the labels; of exclusive labels the unweighted average recall."""
    clips_per_s: float
    """Training clips per second, reading and decoding included."""
    waiting: float
    """Share of the epoch's training time that the model waited for its batches."""
    best: bool
    """Better than every epoch before it."""


@dataclass
class Standing:
    """How far a run is."""

    epoch: int = 1
    """The one in work, from 1."""
    step: int = 0
    """Steps of it that are done."""
    loss_sum: float = 0.0
    """Of the clips of these steps."""
    clips: int = 0
    steps_total: int = 0
    """Steps since the run began."""
    best: tuple[float, float] | None = None
    """Average F1 and negative loss of the validation split at the best epoch so far."""
    best_epoch: int = 0
    history: list[EpochRecord] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)
    """The report of the best model so far, as written."""
    train_s: float = 0.0
    """Spent so far, over all the times the run was taken up."""


@dataclass(frozen=True)
class _Saved:
    """``state.json``."""

    format: int
    standing: Standing
    parameter_groups: list[dict[str, Any]]
    scaler: dict[str, Any]


def write_state(
    directory: Path,
    standing: Standing,
    learner: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: dict[str, Any],
) -> None:
    """Write both files into a directory that exists (say, one that is itself temporary)."""
    adam = optimizer.state_dict()
    tensors = {f"learner.{name}": value for name, value in learner.state_dict().items()}
    for index, moments in adam["state"].items():
        tensors |= {f"adam.{index}.{name}": value for name, value in moments.items()}
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(on_cpu, directory / TENSORS_FILE)
    saved = _Saved(STATE_FORMAT, standing, adam["param_groups"], scaler)
    (directory / STATE_FILE).write_bytes(msgspec.json.encode(saved))


def read_standing(directory: Path) -> Standing:
    """How far the run of this state is.

    Raises:
        MerEdgeError: no state of this version.
    """
    return _read(directory).standing


def restore(
    directory: Path, learner: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    """Put weights and moments back where they were; returns the state of the loss scaler.

    Raises:
        MerEdgeError: the state is damaged, or of another model.
    """
    saved = _read(directory)
    path = directory / TENSORS_FILE
    try:
        tensors = load_file(path)
        learner.load_state_dict(
            {n.removeprefix("learner."): t for n, t in tensors.items() if n.startswith("learner.")}
        )
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("adam."):
                _, index, moment = name.split(".")
                moments.setdefault(int(index), {})[moment] = tensor
        optimizer.load_state_dict({"state": moments, "param_groups": saved.parameter_groups})
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError) as error:
        raise MerEdgeError(
            f"{path}: cannot go on from it ({' '.join(str(error).split())[:200]}); expected what "
            "this run saved; remove the run's folder and train again"
        ) from error
    return saved.scaler


def _read(directory: Path) -> _Saved:
    path = directory / STATE_FILE
    try:
        saved = msgspec.json.decode(path.read_bytes(), type=_Saved)
    except (OSError, msgspec.MsgspecError) as error:
        raise MerEdgeError(
            f"{path}: not the state of a run ({error}); expected what mer-edge train saved; "
            "remove the run's folder and train again"
        ) from error
    if saved.format != STATE_FORMAT:
        raise MerEdgeError(
            f"{path}: format {saved.format}; expected {STATE_FORMAT}; go on with the release of "
            "mer-edge that began the run"
        )
    return saved
