"""The PyTorch network that a bundle was made of, or one of the same sizes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from mer_edge.bundle import Manifest
from mer_edge.errors import MerEdgeError
from mer_edge.model.build import build_model
from mer_edge.model.checkpoint import load_checkpoint
from mer_edge.model.config import (
    PRESETS,
    VARIANTS,
    CrossModal,
    ModelConfig,
    SemAttention,
    variant_name,
    with_variant,
)
from mer_edge.model.mer import MerModel

RANDOM_WEIGHTS = (
    "its weights are random: what a run costs does not depend on them (--run gives it the bundle's)"
)


def network_of(manifest: Manifest, bundle: Path, run: Path | None) -> tuple[MerModel, list[str]]:
    """In evaluation mode, and what is to be said of it.

    Args:
        bundle: named in messages.
        run: the training run that the bundle was made of; None for random weights.

    Raises:
        MerEdgeError: the run is another network, or the manifest names no preset whose sizes the
            bundle has.
    """
    if run is None:
        config = config_of(manifest, bundle)
        return build_model(config)[0].eval(), [RANDOM_WEIGHTS]
    model = load_checkpoint(run).model
    found = variant_name(model.config)
    if found != manifest.variant or list(model.config.labels) != manifest.labels:
        raise MerEdgeError(
            f"--run {run}: a {found} of {', '.join(model.config.labels)}; {bundle} is a "
            f"{manifest.variant} of {', '.join(manifest.labels)}; name the run it was exported from"
        )
    return model.eval(), []


def config_of(manifest: Manifest, bundle: Path) -> ModelConfig:
    """The configuration that the manifest's preset, variant and tensors tell.

    The SEM forms ``spatial`` and ``key`` have the same tensors; it is taken for ``spatial``, the
    default.

    Raises:
        MerEdgeError: no preset, or its sizes are not the bundle's.
    """
    preset = PRESETS.get(manifest.preset)
    if preset is None:
        _refuse(bundle, f"its preset is '{manifest.preset}', none of {', '.join(PRESETS)}")
    guides = {
        tensor.name
        for name in ("audio", "visual")
        if name in manifest.graphs
        for tensor in manifest.graphs[name].inputs
    }
    form: SemAttention = "tokens" if "tokens" in guides else "spatial"
    config = replace(preset, labels=tuple(manifest.labels), sem_attention=form)
    found = _variant_of(config, manifest.variant)
    if found is None:
        _refuse(bundle, f"its variant '{manifest.variant}' has no name in this version")
    sizes = (
        found.text.hidden_size if found.uses_text else 0,
        found.audio.embedding_size if found.has_audio else 0,
        found.visual.embedding_size if found.has_visual else 0,
    )
    stated = (manifest.text_size, manifest.audio_size, manifest.visual_size)
    if sizes != stated:
        _refuse(bundle, f"its features are {stated} wide, those of its preset {sizes}")
    return found


def _variant_of(config: ModelConfig, name: str) -> ModelConfig | None:
    """The one of ``VARIANTS``, with any cross-modal encoder, that goes by the paper's ``name``."""
    encoders: tuple[CrossModal, ...] = ("mbt", "joint", "bi_cross", "none")
    for variant in VARIANTS:
        made = with_variant(config, variant)
        both = made.has_audio and made.has_visual
        for encoder in encoders if both else ("none",):
            found = replace(made, cross_modal=encoder)
            if variant_name(found) == name:
                return found
    return None


def _refuse(bundle: Path, found: str) -> NoReturn:
    raise MerEdgeError(
        f"{bundle}: {found}, so the network cannot be built from the manifest; give --run with the "
        "training run that the bundle was exported from"
    )
