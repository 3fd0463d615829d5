"""A new model: random from a seed, with pre-trained parts where files are given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from mer_edge.errors import MerEdgeError
from mer_edge.model.config import ModelConfig, variant_name
from mer_edge.model.hub import find_weights
from mer_edge.model.mer import MerModel
from mer_edge.model.text import load_text_encoder
from mer_edge.model.weights import load_resnet18, load_vggish


def build_model(
    config: ModelConfig,
    bert: str | Path | None = None,
    vggish: str | Path | None = None,
    resnet: str | Path | None = None,
    seed: int = 0,
) -> tuple[MerModel, str | None]:
    """Build the network in training mode; the global random state stays as it was.

    Args:
        bert: a Hugging Face directory or hub name; its sizes replace ``config.text``.
        vggish: a file, run or hub name for :func:`mer_edge.model.weights.load_vggish`.
        resnet: a file, run or hub name for :func:`mer_edge.model.weights.load_resnet18`.
        seed: of everything that is not loaded.

    Returns:
        The model, and the text of BERT's ``tokenizer.json`` (None without ``bert``).

    Raises:
        MerEdgeError: a file that does not fit, named, or that belongs to an encoder which this
            variant does not have.
    """
    for source, used, encoder in (
        (bert, config.uses_text, "text"),
        (vggish, config.has_audio, "audio"),
        (resnet, config.has_visual, "visual"),
    ):
        if source is not None and not used:
            raise MerEdgeError(
                f"{source}: weights for the {encoder} encoder, which {variant_name(config)} does "
                "not have; leave them out or choose another variant"
            )
    loaded = load_text_encoder(bert) if bert is not None else None
    if loaded is not None:
        config = replace(config, text=loaded.sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MerModel(config)
    if loaded is not None and model.text_encoder is not None:
        model.text_encoder.bert.load_state_dict(loaded.bert.state_dict())
    if vggish is not None and model.vggish is not None:
        load_vggish(model.vggish.backbone, find_weights(vggish))
    if resnet is not None and model.resnet is not None:
        load_resnet18(model.resnet.backbone, find_weights(resnet))
    return model.train(), loaded.tokenizer_json if loaded is not None else None
