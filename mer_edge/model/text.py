"""The text encoder: a BERT of any size, made anew or loaded from a Hugging Face checkpoint."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoTokenizer, BertConfig, BertModel
from transformers.activations import ACT2FN
from transformers.utils import logging as transformers_logging

from mer_edge.errors import MerEdgeError
from mer_edge.model.config import TextSizes
from mer_edge.model.sem import MASKED_SCORE
from mer_edge.model.weights import check_finite


class LoadedText(NamedTuple):
    """A text encoder from a Hugging Face checkpoint."""

    bert: BertModel
    sizes: TextSizes
    tokenizer_json: str
    """The text of a ``tokenizer.json``, without truncation and padding settings."""


class TextEncoder(nn.Module):
    """Token ids (B, L) and their mask (B, L), int64 -> last hidden states (B, L, d_t).

    The paper's I_t is the first of them, the output of [CLS]; BERT's pooler is left out.
    """

    def __init__(self, sizes: TextSizes, dropout: float) -> None:
        super().__init__()
        self.bert = BertModel(_bert_config(sizes, dropout), add_pooling_layer=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """A row whose mask is all 0 gives finite values that mean nothing."""
        # The mask in its final, additive form: transformers then adds nothing that depends on
        # the data or on the version, and the constant fits into fp16.
        padding = (1 - attention_mask).to(self.bert.embeddings.word_embeddings.weight.dtype)
        mask = (padding * MASKED_SCORE)[:, None, None, :]
        first_type = torch.zeros_like(input_ids)
        output = self.bert(input_ids=input_ids, attention_mask=mask, token_type_ids=first_type)
        hidden_states: Tensor = output.last_hidden_state
        return hidden_states

    def set_gradient_checkpointing(self, on: bool) -> None:
        """Keep only the inputs of the layers for the backward pass; the rest is computed again."""
        with warnings.catch_warnings():
            # Newer releases of transformers prefer another name; the older ones only know this.
            warnings.simplefilter("ignore", FutureWarning)
            if on:
                # An encoder has no use for a cache, and transformers warns of one here.
                self.bert.config.use_cache = False
                self.bert.gradient_checkpointing_enable({"use_reentrant": False})
            else:
                self.bert.gradient_checkpointing_disable()


def load_text_encoder(source: str | Path) -> LoadedText:
    """Load a BERT and its tokenizer from a directory or, for other names, from the hub.

    Code that lies beside the weights is never run.

    A directory holds ``config.json``, the weights (``model.safetensors`` or
    ``pytorch_model.bin``) and ``tokenizer.json`` or ``vocab.txt``.

    Raises:
        MerEdgeError: not a BERT, missing weights or tokenizer, nothing there.
    """
    with _quiet_transformers(), _loading_errors(source):
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
        _check_encoder(source, config)
        bert, info = BertModel.from_pretrained(
            source, add_pooling_layer=False, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(source, use_fast=True, trust_remote_code=False)
    missing = sorted(info["missing_keys"])
    if missing:
        raise MerEdgeError(
            f"{source}: {len(missing)} weights of the text encoder are missing, "
            f"the first is {missing[0]}; expected a complete BERT checkpoint"
        )
    check_finite(bert.state_dict(), source)
    sizes = _sizes_of(config)
    return LoadedText(bert, sizes, _tokenizer_json(source, tokenizer, sizes))


def _check_encoder(source: str | Path, config: Any) -> None:
    for name, expected in (
        ("model_type", "bert"),
        ("is_decoder", False),
        ("position_embedding_type", "absolute"),
    ):
        found = getattr(config, name, expected)
        if found != expected:
            raise MerEdgeError(
                f"{source}: {name} of the text encoder is {found!r}; expected {expected!r}"
            )


def _bert_config(sizes: TextSizes, dropout: float) -> BertConfig:
    if sizes.hidden_act not in ACT2FN:
        raise MerEdgeError(
            f"text.hidden_act is {sizes.hidden_act!r}; expected an activation that transformers "
            "knows, such as 'gelu'"
        )
    return BertConfig(
        vocab_size=sizes.vocab_size,
        hidden_size=sizes.hidden_size,
        num_hidden_layers=sizes.num_hidden_layers,
        num_attention_heads=sizes.num_attention_heads,
        intermediate_size=sizes.intermediate_size,
        max_position_embeddings=sizes.max_position_embeddings,
        type_vocab_size=sizes.type_vocab_size,
        hidden_act=sizes.hidden_act,
        layer_norm_eps=sizes.layer_norm_eps,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        attn_implementation="eager",
    )


def _sizes_of(config: BertConfig) -> TextSizes:
    return TextSizes(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        num_hidden_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        intermediate_size=config.intermediate_size,
        max_position_embeddings=config.max_position_embeddings,
        type_vocab_size=config.type_vocab_size,
        hidden_act=config.hidden_act,
        layer_norm_eps=config.layer_norm_eps,
    )


def _tokenizer_json(source: str | Path, tokenizer: Any, sizes: TextSizes) -> str:
    backend = tokenizer.backend_tokenizer
    # Where a directory has no vocabulary, transformers makes up a tokenizer of the special tokens.
    if backend.get_vocab_size() <= len(tokenizer.all_special_tokens):
        raise MerEdgeError(
            f"{source}: the tokenizer has no words; expected tokenizer.json or vocab.txt "
            "beside the weights"
        )
    if backend.get_vocab_size() > sizes.vocab_size:
        raise MerEdgeError(
            f"{source}: the tokenizer has {backend.get_vocab_size()} tokens, the text encoder "
            f"only {sizes.vocab_size}; expected a tokenizer that belongs to the encoder"
        )
    backend.no_truncation()
    backend.no_padding()
    tokenizer_json: str = backend.to_str()
    return tokenizer_json


@contextmanager
def _loading_errors(source: str | Path) -> Iterator[None]:
    """transformers raises whatever its parts raise; what a user sees is one line."""
    try:
        yield
    except MerEdgeError:
        raise
    except Exception as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise MerEdgeError(
            f"{source}: cannot load a text encoder: {reason}; expected a directory with "
            "config.json, weights and tokenizer of a BERT, or the name of one on the hub"
        ) from error


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Without the bar and the notes about unused heads, which are expected here."""
    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
