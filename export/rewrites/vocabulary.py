"""A smaller vocabulary: the tokens that a language or a field of use needs, and the letters.

BERT's word embeddings are a fifth of it, and most of their rows stand for words that a device for
one language never meets. WordPiece takes the longest token that fits; taking tokens away changes
nothing in a text whose tokens all stay, and every other word is spelled with shorter ones. All
single characters stay, so that a word becomes unknown only if it has a character that is no token.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import nn

from mer_edge.errors import MerEdgeError
from mer_edge.files import new_file
from mer_edge.model.checkpoint import Checkpoint
from mer_edge.model.mer import MerModel


@dataclass(frozen=True, eq=False)
class PrunedVocabulary:
    """A tokenizer with fewer tokens, and which rows of the embedding they had."""

    tokenizer_json: str
    kept_rows: NDArray[np.int64]
    """shape = (tokens kept,), ascending: token i of the new tokenizer was ``kept_rows[i]``."""


def prune_vocabulary(
    tokenizer_json: str, texts: Iterable[str], least_count: int = 1
) -> PrunedVocabulary:
    """Keep the tokens of ``texts``, every single character, and the special tokens.

    Args:
        tokenizer_json: of a WordPiece tokenizer.
        texts: sentences, or words, of the kind the device will meet.
        least_count: how often a token must be in ``texts`` to stay. With 1, each of ``texts`` is
            tokenized as before.

    Raises:
        MerEdgeError: not a WordPiece tokenizer, or no token in ``texts``.
    """
    settings = _wordpiece(tokenizer_json)
    vocabulary: dict[str, int] = settings["model"]["vocab"]
    counts = count_tokens(tokenizer_json, texts)
    if not counts:
        raise MerEdgeError(
            "the texts to choose the vocabulary from hold no token; expected sentences or words, "
            "one a line; name a file with text in it"
        )
    prefix: str = settings["model"]["continuing_subword_prefix"]
    kept = {
        token
        for token, index in vocabulary.items()
        if len(token.removeprefix(prefix)) == 1 or counts[index] >= least_count
    }
    return keep_tokens(tokenizer_json, kept)


def keep_tokens(tokenizer_json: str, tokens: Collection[str]) -> PrunedVocabulary:
    """Keep ``tokens``, as the vocabulary spells them ("##ing"), and the special tokens.

    Raises:
        MerEdgeError: not a WordPiece tokenizer.
    """
    settings = _wordpiece(tokenizer_json)
    special = {token["content"] for token in settings["added_tokens"]}
    special.add(settings["model"]["unk_token"])
    kept = sorted(
        index
        for token, index in settings["model"]["vocab"].items()
        if token in tokens or token in special
    )
    return PrunedVocabulary(_renumbered(settings, kept), np.array(kept, np.int64))


def _wordpiece(tokenizer_json: str) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(tokenizer_json)
    kind = settings["model"].get("type")
    if kind != "WordPiece":
        raise MerEdgeError(
            f"the tokenizer is of the type {kind}; only the vocabulary of a WordPiece tokenizer "
            "(BERT's) can be cut; export with the whole vocabulary"
        )
    inside = set(settings["model"]["vocab"])
    outside = [t["content"] for t in settings["added_tokens"] if t["content"] not in inside]
    if outside:
        raise MerEdgeError(
            f"the tokenizer's added token {outside[0]!r} is not in its vocabulary; expected all "
            "of them there, as BERT's are; export with the whole vocabulary"
        )
    return settings


def count_tokens(tokenizer_json: str, texts: Iterable[str]) -> Counter[int]:
    """How often each token's number is in ``texts``."""
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    counts: Counter[int] = Counter()
    for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False):
        counts.update(encoding.ids)
    return counts


def _renumbered(settings: dict[str, Any], kept: list[int]) -> str:
    """``tokenizer.json`` with the tokens of the rows ``kept`` only, which get new numbers."""
    settings = copy.deepcopy(settings)
    new = {old: index for index, old in enumerate(kept)}
    vocabulary = settings["model"]["vocab"]
    settings["model"]["vocab"] = {t: new[old] for t, old in vocabulary.items() if old in new}
    for token in settings["added_tokens"]:
        token["id"] = new[token["id"]]
    _renumber_post_processor(settings["post_processor"] or {}, new)
    text: str = Tokenizer.from_str(json.dumps(settings)).to_str(pretty=True)
    return text


def _renumber_post_processor(processor: dict[str, Any], new: dict[int, int]) -> None:
    """[CLS] and [SEP], which stand in it once more with their numbers."""
    kind = processor.get("type")
    if kind == "TemplateProcessing":
        for token in processor["special_tokens"].values():
            token["ids"] = [new[old] for old in token["ids"]]
    elif kind == "BertProcessing":
        for name in ("sep", "cls"):
            token, old = processor[name]
            processor[name] = [token, new[old]]
    else:
        raise MerEdgeError(
            f"the tokenizer's post-processor is of the type {kind}; expected TemplateProcessing "
            "or BertProcessing, as BERT's tokenizers have; export with the whole vocabulary"
        )


def with_pruned_vocabulary(
    checkpoint: Checkpoint, texts: Iterable[str], tokenizer_file: Path, least_count: int = 1
) -> Checkpoint:
    """``checkpoint`` with a smaller vocabulary; the one given stays as it is.

    All weights but the word embeddings are shared between the two.

    Args:
        tokenizer_file: where to write the new ``tokenizer.json``.

    Raises:
        MerEdgeError: as :func:`prune_vocabulary`; no text encoder; the file cannot be written.
    """
    if checkpoint.model.text_encoder is None:
        raise MerEdgeError(
            "the network has no text encoder whose vocabulary could be cut; export without "
            "--vocabulary"
        )
    tokenizer_json = checkpoint.tokenizer_path.read_text(encoding="utf-8")
    pruned = prune_vocabulary(tokenizer_json, texts, least_count)
    with new_file(tokenizer_file, "writing the tokenizer") as temporary:
        temporary.write_text(pruned.tokenizer_json, encoding="utf-8")
    model = _with_rows(checkpoint.model, pruned.kept_rows)
    return replace(checkpoint, model=model, tokenizer_path=tokenizer_file)


def _with_rows(model: MerModel, rows: NDArray[np.int64]) -> MerModel:
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    smaller = copy.deepcopy(model, shared)
    assert smaller.text_encoder is not None
    embeddings = smaller.text_encoder.bert.embeddings
    weight = embeddings.word_embeddings.weight.detach()[torch.from_numpy(rows)]
    padding = embeddings.word_embeddings.padding_idx
    kept = nn.Embedding(len(rows), weight.shape[1], padding_idx=padding, _weight=weight)
    embeddings.word_embeddings = kept
    smaller.text_encoder.bert.config.vocab_size = len(rows)
    text = replace(model.config.text, vocab_size=len(rows))
    smaller.config = replace(model.config, text=text)
    return smaller


def read_texts(file: Path) -> list[str]:
    """The lines of a UTF-8 text file.

    Raises:
        MerEdgeError: it cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise MerEdgeError(
            f"{file}: cannot be read ({reason}); expected a text file, a sentence or a word a "
            "line, in UTF-8; check the name"
        ) from error
