"""What a vocabulary chosen from one part of a corpus saves, and changes on the other."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track

from export.rewrites.vocabulary import prune_vocabulary, with_pruned_vocabulary
from mer_edge.model.checkpoint import Checkpoint, load_checkpoint
from mer_edge.text.tokenizer import TextTokenizer

BERT_BASE_WIDTH = 768
COMPARED = 300


def measure(run: Path, corpus: Path) -> dict[str, Any]:
    """``run``: of the variant ``text``; ``corpus``: a folder with train.tsv and dev.tsv.

    Decisions are compared on the first 300 sentences whose tokens changed; all others are
    the same to the last bit.
    """
    train, dev = (_sentences(corpus / name) for name in ("train.tsv", "dev.tsv"))
    whole = load_checkpoint(run)
    before = TextTokenizer(whole.tokenizer_path, whole.model.config.text.max_position_embeddings)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for least in (1, 2, 5, 10):
            file = Path(folder) / f"{least}.json"
            smaller = with_pruned_vocabulary(whole, train, file, least)
            after = TextTokenizer(file, before.max_tokens)
            kept = prune_vocabulary(
                whole.tokenizer_path.read_text(encoding="utf-8"), train, least
            ).kept_rows
            changed = [s for s in dev if not _same(before, after, kept, s)]
            rows.append(
                {
                    "least_count": least,
                    "tokens": len(kept),
                    "megabytes_saved": {
                        "MiniLM": _saved(whole, len(kept), whole.model.config.text.hidden_size),
                        "BERT-base": _saved(whole, len(kept), BERT_BASE_WIDTH),
                    },
                    "sentences": len(dev),
                    "changed": len(changed),
                    "more_tokens": _longer(before, after, dev),
                    **_decisions(whole, smaller, before, after, changed[:COMPARED]),
                }
            )
    return {"tokens": whole.model.config.text.vocab_size, "rows": rows}


def _sentences(file: Path) -> list[str]:
    return [line.split("\t")[0] for line in file.read_text(encoding="utf-8").splitlines()]


def _same(
    before: TextTokenizer, after: TextTokenizer, kept: NDArray[np.int64], sentence: str
) -> bool:
    return np.array_equal(kept[after.encode(sentence).input_ids], before.encode(sentence).input_ids)


def _saved(checkpoint: Checkpoint, kept: int, width: int) -> float:
    return round((checkpoint.model.config.text.vocab_size - kept) * width * 4 / 1e6, 1)


def _longer(before: TextTokenizer, after: TextTokenizer, sentences: list[str]) -> float:
    """By what share the number of tokens grows."""
    one, other = (sum(t.encode(s).input_ids.shape[1] for s in sentences) for t in (before, after))
    return round(other / one - 1, 5)


def _decisions(
    whole: Checkpoint,
    smaller: Checkpoint,
    before: TextTokenizer,
    after: TextTokenizer,
    sentences: list[str],
) -> dict[str, Any]:
    rule = whole.rule
    differences, same = [], 0
    for sentence in track(sentences, description="sentences that changed"):
        one, other = (
            _probabilities(whole, before, sentence),
            _probabilities(smaller, after, sentence),
        )
        differences.append(np.abs(one - other).max())
        same += bool((rule.decide(one) == rule.decide(other)).all())
    return {
        "compared": len(sentences),
        "same_decisions": same,
        "mean_probability_change": float(np.mean(differences)) if differences else 0.0,
        "largest_probability_change": float(np.max(differences)) if differences else 0.0,
    }


def _probabilities(
    checkpoint: Checkpoint, tokenizer: TextTokenizer, sentence: str
) -> NDArray[np.float64]:
    model = checkpoint.model
    ids = torch.from_numpy(tokenizer.encode(sentence).input_ids)
    with torch.inference_mode():
        vector = model.encode_text(ids, torch.ones_like(ids)).vector
        fused = model.fuse(None, None, vector, None, None, torch.ones(1, dtype=torch.bool))
    return checkpoint.rule.probabilities(fused.logits.numpy())[0]
