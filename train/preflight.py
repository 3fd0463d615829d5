"""What can be refused before hours of preparing: paths, options and weights that do not fit."""

from __future__ import annotations

import os
from pathlib import Path

from mer_edge.errors import MerEdgeError
from mer_edge.files import existing_parent
from train.options import TrainOptions, model_config
from train.setup import check_device, load_teacher, make_model


def check_before_work(data: Path, out: Path, options: TrainOptions) -> None:
    """Refuse what the run would stumble over after its clips are prepared.

    Raises:
        MerEdgeError: options that make no network or mean nothing for it, a device that is not
            there, an ``out`` that may not be written or that holds what the run reads.
    """
    check_device(options.device)
    _check_meaning(options)
    _check_apart(data, out, options)


def check_weights(labels: tuple[str, ...], options: TrainOptions) -> None:
    """Load once, and forget, the weights that the run starts from and its teacher.

    Raises:
        MerEdgeError: a file that is missing or does not fit, a teacher of other labels or of
            another task.
    """
    if options.bert or options.vggish or options.resnet:
        make_model([], labels, options)
    if options.teacher is not None:
        load_teacher(options.teacher, labels, options.task, "cpu")


def _check_meaning(options: TrainOptions) -> None:
    config = model_config(options)
    if options.sem_attention is not None and not config.has_sem:
        raise MerEdgeError(
            f"found sem_attention '{options.sem_attention}' for the variant {options.variant}, "
            "which has no SEM; leave it out, or choose a variant with SEMs"
        )
    if options.modality_dropout and len(config.modalities) == 1:
        raise MerEdgeError(
            f"found modality_dropout {options.modality_dropout:g} for the variant "
            f"{options.variant}, which decides by one modality and always keeps it; leave it out"
        )


def _check_apart(data: Path, out: Path, options: TrainOptions) -> None:
    """What is read must not lie where the run's folder will be replaced."""
    whole = out.resolve()
    read = {"data": data, "cache": options.cache, "teacher": options.teacher}
    for name in ("bert", "vggish", "resnet"):
        source = getattr(options, name)
        if source is not None and Path(source).exists():  # else a name on the hub
            read[name] = Path(source)
    for name, path in read.items():
        if path is not None and path.resolve().is_relative_to(whole):
            raise MerEdgeError(
                f"{path}: the run's {name} is inside its --out {out}, which the run makes anew; "
                "expected it elsewhere; name another --out"
            )
    parent = existing_parent(out.parent)
    if not os.access(parent, os.W_OK | os.X_OK):
        raise MerEdgeError(f"{out}: the folder {parent} may not be written; name another --out")
