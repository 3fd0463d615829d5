"""How well the emotion of a sentence is told: logits, temperature, figures of the test corpora."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import f1_score
from tokenizers import Encoding, Tokenizer
from torch import Tensor, nn

from train.recipes.corpora import LABELS
from train.recipes.sentences import Sentences

SENTENCES_PER_BATCH = 64


def padded(encodings: Sequence[Encoding], padding_id: int | None) -> tuple[Tensor, Tensor]:
    """Token ids and their mask, int64, (B, L) each; L is the longest one's length."""
    ids = [torch.tensor(encoding.ids) for encoding in encodings]
    mask = [torch.ones_like(row) for row in ids]
    assert padding_id is not None  # every tokenizer of a BERT has [PAD]
    pad = nn.utils.rnn.pad_sequence
    return pad(ids, batch_first=True, padding_value=padding_id), pad(mask, batch_first=True)


@torch.inference_mode()
def sentence_logits(
    decide: Callable[[Tensor, Tensor], Tensor], tokenizer: Tokenizer, texts: Sequence[str]
) -> NDArray[np.float64]:
    """Logits of each text, (texts, 7), in batches of similar length.

    Args:
        decide: token ids and mask (B, L) to logits, for one a ``TextClassifier`` in eval mode.
        tokenizer: cuts at what the encoder reads at most.
    """
    logits = np.zeros((len(texts), len(LABELS)))
    encodings = tokenizer.encode_batch(list(texts))
    for rows in _by_length(encodings):
        ids, mask = padded([encodings[r] for r in rows], tokenizer.token_to_id("[PAD]"))
        logits[rows] = decide(ids, mask).double().numpy()
    return logits


def _by_length(encodings: Sequence[Encoding]) -> Iterator[list[int]]:
    order = sorted(range(len(encodings)), key=lambda row: len(encodings[row]))
    for start in range(0, len(order), SENTENCES_PER_BATCH):
        yield order[start : start + SENTENCES_PER_BATCH]


def score(sentences: Sentences, logits: NDArray[np.float64]) -> dict[str, Any]:
    """Accuracy and F1 of sentences with one label each, over the classes that occur.

    The most probable of all seven classes is the answer, also where a corpus lacks it.
    """
    truth, said = sentences.labels.argmax(1), logits.argmax(1)
    classes = np.unique(truth).tolist()
    by_class = f1_score(truth, said, labels=classes, average=None, zero_division=0)
    weighted = f1_score(truth, said, labels=classes, average="weighted", zero_division=0)
    return {
        "sentences": len(sentences),
        "accuracy": float((truth == said).mean()),
        "macro_f1": float(by_class.mean()),
        "weighted_f1": float(weighted),
        "f1": {LABELS[c]: float(f1) for c, f1 in zip(classes, by_class, strict=True)},
    }


def score_all(sentences: Sentences, logits: NDArray[np.float64]) -> dict[str, Any]:
    """Sentences of one or more labels: how often the answer is one of them, and macro-F1.

    F1 compares sets: the one class answered with all that the annotators gave.
    """
    said = logits.argmax(1)
    answered = np.arange(len(LABELS)) == said[:, None]
    return {
        "sentences": len(sentences),
        "accuracy": float(sentences.labels[np.arange(len(said)), said].mean()),
        "macro_f1": float(f1_score(sentences.labels, answered, average="macro", zero_division=0)),
    }


def unknown_share(tokenizer: Tokenizer, texts: Sequence[str]) -> float:
    """Share of [UNK] among the tokens of ``texts``, [CLS] and [SEP] not counted."""
    unknown = tokenizer.token_to_id("[UNK]")
    encodings = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    ids = [index for encoding in encodings for index in encoding.ids]
    return float(np.mean(np.array(ids) == unknown))
