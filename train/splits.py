"""The splits of a data set as the loop takes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mer_edge.decision import Task
from mer_edge.errors import MerEdgeError
from mer_edge.samples.sample import SPLITS, Sample
from mer_edge.text.tokenizer import TextTokenizer
from train.collate import LabelledClip
from train.losses import label_weights
from train.prepare import ReadySample

Splits = dict[str, list[LabelledClip]]


def check_splits(
    samples: Sequence[Sample], labels: Sequence[str], task: Task = "multilabel"
) -> None:
    """Refuse a data set that nothing can be learned from or chosen by.

    Raises:
        MerEdgeError: no training or no validation clip, a label that all or none of the training
            clips have, or for exclusive labels a clip that has not exactly one.
    """
    for split in ("train", "valid"):
        if not any(sample.split == split for sample in samples):
            raise MerEdgeError(
                f"no usable clip of the split '{split}'; expected some for 'train' and some for "
                "'valid' ('test' may be empty); set the field split in the manifest, or see what "
                "prepare says of the data set"
            )
    if task == "multiclass":
        _check_exclusive(samples)
    train = [target(sample, labels) for sample in samples if sample.split == "train"]
    label_weights(np.stack(train), labels, task)


def _check_exclusive(samples: Sequence[Sample]) -> None:
    wrong = [sample for sample in samples if len(sample.labels) != 1]
    if wrong:
        found = ", ".join(wrong[0].labels) or "none"
        raise MerEdgeError(
            f"{len(wrong)} of {len(samples)} clips have not exactly one label, the first is "
            f"{wrong[0].id} ({found}); expected one a clip for --task multiclass; leave those "
            "clips out of the manifest, or train with --task multilabel"
        )


def target(sample: Sample, labels: Sequence[str]) -> NDArray[np.bool_]:
    """Which of ``labels`` the sample has; shape = (labels,)."""
    return np.array([label in sample.labels for label in labels])


def label_splits(
    ready: Sequence[ReadySample],
    labels: Sequence[str],
    tokenizer: TextTokenizer,
    teacher_tokenizer: TextTokenizer | None = None,
) -> Splits:
    """Every split's clips with their words as numbers and their truth.

    ``teacher_tokenizer`` gives the words in a teacher's numbers as well.
    """
    splits: Splits = {split: [] for split in SPLITS}
    for item in ready:
        text = item.sample.text
        clip = LabelledClip(
            item.stored,
            tokenized(text, tokenizer),
            target(item.sample, labels),
            None if teacher_tokenizer is None else tokenized(text, teacher_tokenizer),
        )
        splits[item.sample.split].append(clip)
    return splits


def tokenized(text: str | None, tokenizer: TextTokenizer) -> NDArray[np.int64]:
    """Token ids (L,), cut to what the encoder reads; empty where there is no text."""
    if text is None or not text.strip():
        return np.zeros(0, np.int64)
    ids: NDArray[np.int64] = tokenizer.encode(text).input_ids[0]
    return ids
