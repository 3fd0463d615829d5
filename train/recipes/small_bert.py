"""A smaller BERT from a larger one: fewer tokens and fewer layers, as a Hugging Face folder."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

from export.rewrites.vocabulary import count_tokens, keep_tokens
from mer_edge.errors import MerEdgeError
from mer_edge.model.text import LoadedText

_PIECE = "##"
_WORDS = "word_embeddings.weight"


def english_tokens(
    tokenizer_json: str, texts: Iterable[str], least_count: int, frequent_words: int
) -> set[str]:
    """The tokens that English needs, as the vocabulary spells them.

    These are the tokens that are in ``texts`` at least ``least_count`` times, all printable ASCII
    characters (at the start of a word and within), and the first ``frequent_words`` words of
    letters in the vocabulary, which lists whole words by how frequent they are.
    """
    tokenizer = Tokenizer.from_str(tokenizer_json)
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    counts = count_tokens(tokenizer_json, texts)
    words = [t for t, _ in vocabulary if len(t) > 1 and t.isascii() and t.isalpha()]
    characters = {t for t, _ in vocabulary if len(t.removeprefix(_PIECE)) == 1 and t.isascii()}
    used = {token for token, index in vocabulary if counts[index] >= least_count}
    return used | characters | set(words[:frequent_words])


def smaller_bert(loaded: LoadedText, tokens: Collection[str], layers: Sequence[int]) -> LoadedText:
    """``loaded`` with only these tokens and these layers; the weights are copies.

    A text whose tokens all stay, in a network whose layers all stay, gives the same vectors.

    Args:
        tokens: as the vocabulary spells them; the special ones always stay.
        layers: numbers from 0, ascending.

    Raises:
        MerEdgeError: a layer that is not there; not a WordPiece tokenizer.
    """
    there = loaded.sizes.num_hidden_layers
    if not layers or list(layers) != sorted(set(layers) & set(range(there))):
        raise MerEdgeError(
            f"the layers {list(layers)} of a BERT of {there}; expected ascending numbers from 0 "
            f"to {there - 1}"
        )
    pruned = keep_tokens(loaded.tokenizer_json, tokens)
    config = BertConfig.from_dict(loaded.bert.config.to_dict())
    config.vocab_size, config.num_hidden_layers = len(pruned.kept_rows), len(layers)
    padding = Tokenizer.from_str(pruned.tokenizer_json).token_to_id("[PAD]")
    config.pad_token_id = padding
    bert = BertModel(config, add_pooling_layer=False)
    weights = {
        f"encoder.layer.{new}.{name}": tensor
        for new, old in enumerate(layers)
        for name, tensor in loaded.bert.encoder.layer[old].state_dict().items()
    }
    for name, tensor in loaded.bert.embeddings.state_dict().items():
        kept = torch.from_numpy(pruned.kept_rows)
        weights[f"embeddings.{name}"] = tensor[kept] if name == _WORDS else tensor
    bert.load_state_dict(weights)
    sizes = replace(
        loaded.sizes, vocab_size=config.vocab_size, num_hidden_layers=config.num_hidden_layers
    )
    return LoadedText(bert.eval(), sizes, pruned.tokenizer_json)


def write_bert(folder: Path, small: LoadedText) -> None:
    """Write what ``--bert`` reads: ``config.json``, the weights and the tokenizer's files."""
    bert, _, tokenizer_json = small
    weights = {name: tensor.detach().contiguous() for name, tensor in bert.state_dict().items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = bert.config.to_diff_dict()
    config |= {"model_type": "bert", "architectures": ["BertModel"]}
    (folder / "config.json").write_bytes(_pretty(config))
    (folder / "tokenizer.json").write_text(tokenizer_json, encoding="utf-8")
    tokenizer = Tokenizer.from_str(tokenizer_json)
    vocabulary = tokenizer.get_vocab()
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    (folder / "vocab.txt").write_text("".join(f"{t}\n" for t in tokens), encoding="utf-8")
    lowercase = json.loads(tokenizer_json)["normalizer"]["lowercase"]
    settings = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": lowercase,
        "model_max_length": bert.config.max_position_embeddings,
    }
    (folder / "tokenizer_config.json").write_bytes(_pretty(settings))


def _pretty(record: dict[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"
