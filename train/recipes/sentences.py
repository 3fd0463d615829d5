"""Sentences with emotions: GoEmotions, which teaches, and the corpora that are only tested on.

GoEmotions (Demszky et al. 2020): ``train.tsv``, of which a part chosen by the sentences' ids is
held out, and ``dev.tsv``, which is only measured on. MELD (Poria et al. 2019), ISEAR (Scherer and
Wallbott 1994) and EmoryNLP (Zahiri and Choi 2018) are only tested on.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mer_edge.errors import MerEdgeError
from train.recipes.corpora import LABELS

GOEMOTIONS_LABELS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
"""GoEmotions in Ekman's classes, as ``labels.txt`` has them: joy is happiness."""
HELD_OUT_SHARE = 0.05

MELD_LABELS = {label: label for label in LABELS if label != "happiness"} | {"joy": "happiness"}
ISEAR_LABELS = {"joy": "happiness", "fear": "fear", "anger": "anger", "sadness": "sadness",
                "disgust": "disgust"}  # fmt: skip
"""Shame and guilt have no class here."""
EMORYNLP_LABELS = {"Joyful": "happiness", "Mad": "anger", "Scared": "fear", "Sad": "sadness",
                   "Neutral": "neutral"}  # fmt: skip
"""Peaceful and Powerful have no class here."""


@dataclass(frozen=True, eq=False)
class Sentences:
    """Sentences and the emotions that their annotators agreed on."""

    texts: tuple[str, ...]
    ids: tuple[str, ...]
    labels: NDArray[np.bool_]
    """shape = (sentences, 7), in the order of ``LABELS``; one or more a row."""

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def single(self) -> NDArray[np.bool_]:
        """Which of them have exactly one label: shape = (sentences,)."""
        ones: NDArray[np.bool_] = self.labels.sum(1) == 1
        return ones

    @property
    def targets(self) -> NDArray[np.float32]:
        """Each row's labels share 1 evenly: shape = (sentences, 7)."""
        shares: NDArray[np.float32] = (self.labels / self.labels.sum(1, keepdims=True)).astype("f4")
        return shares

    def chosen(self, mask: NDArray[np.bool_]) -> Sentences:
        """Those where ``mask`` (sentences,) is true."""
        rows = np.flatnonzero(mask)
        return Sentences(
            tuple(self.texts[r] for r in rows), tuple(self.ids[r] for r in rows), self.labels[rows]
        )


def is_held_out(sentence_id: str) -> bool:
    """Whether a sentence of ``train.tsv`` validates and calibrates instead of training.

    By a hash of its id, so that it depends on nothing else.
    """
    digest = hashlib.sha256(f"starter:{sentence_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < HELD_OUT_SHARE * 2**64


def goemotions_train(data: Path) -> tuple[Sentences, Sentences]:
    """``train.tsv``: the sentences that train, and those held out.

    A sentence whose text is also in ``dev.tsv``, or is held out, does not train: Reddit has
    comments that many people wrote ("Happy cake day!").

    Raises:
        MerEdgeError: a file is missing or not as published.
    """
    everything, test = _goemotions(data, "train"), _goemotions(data, "dev")
    held = np.array([is_held_out(i) for i in everything.ids])
    measured = {_key(text) for text in (*test.texts, *everything.chosen(held).texts)}
    known = np.array([_key(text) in measured for text in everything.texts])
    return everything.chosen(~held & ~known), everything.chosen(held)


def goemotions_test(data: Path) -> Sentences:
    """``dev.tsv``: never trained or tuned on.

    Raises:
        MerEdgeError: the file is missing or not as published.
    """
    return _goemotions(data, "dev")


def meld_dev(data: Path) -> Sentences:
    """Lines of a comedy: ``meld/dev_sent_emo.csv``."""
    return _table(data / "meld/dev_sent_emo.csv", ",", "Utterance", "Emotion", MELD_LABELS)


def isear(data: Path) -> Sentences:
    """Self-reports, none of them neutral: ``isear/isear.tsv``."""
    return _table(data / "isear/isear.tsv", "\t", "text", "label", ISEAR_LABELS)


def emorynlp_test(data: Path) -> Sentences:
    """Lines of a comedy: ``emorynlp/emory_test.csv``."""
    path = data / "emorynlp/emory_test.csv"
    return _table(path, ",", "Utterance", "Emotion", EMORYNLP_LABELS)


def _key(text: str) -> str:
    """Two texts that differ in case, punctuation or spaces only are the same sentence."""
    return " ".join("".join(c if c.isalnum() else " " for c in text.lower()).split()) or text


def _goemotions(data: Path, split: str) -> Sentences:
    path = data / "goemotions" / f"{split}.tsv"
    texts, ids, labels = [], [], []
    for number, row in _rows(path, "\t", quoted=False):
        try:
            text, numbers, sentence_id = row
            classes = sorted({int(n) for n in numbers.split(",")})
            if not 0 <= classes[0] <= classes[-1] < len(LABELS):
                raise ValueError
        except ValueError:
            raise MerEdgeError(
                f"{path}, line {number}: not a row of GoEmotions; expected a text, the numbers of "
                f"its labels (0 to {len(LABELS) - 1}, with commas) and an id, between tabs"
            ) from None
        texts.append(text)
        ids.append(sentence_id)
        labels.append(np.isin(np.arange(len(LABELS)), classes))
    return _sentences(path, texts, ids, labels)


def _table(
    path: Path, delimiter: str, text: str, label: str, names: Mapping[str, str]
) -> Sentences:
    """A table with a header; rows of labels that are not among ``names`` are left out."""
    rows = _rows(path, delimiter, quoted=delimiter == ",")
    _, header = next(rows, (0, []))
    if not {text, label} <= set(header):
        raise MerEdgeError(
            f"{path}: the columns {', '.join(header)}; expected {text} and {label} among them"
        )
    at_text, at_label = header.index(text), header.index(label)
    texts, ids, labels = [], [], []
    for number, row in rows:
        if len(row) > max(at_text, at_label) and row[at_label] in names:
            texts.append(row[at_text])
            ids.append(f"{path.stem}-{number}")
            labels.append(np.array(LABELS) == names[row[at_label]])
    return _sentences(path, texts, ids, labels)


def _rows(path: Path, delimiter: str, quoted: bool) -> Iterator[tuple[int, list[str]]]:
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    try:
        with path.open(encoding="utf-8", newline="") as file:
            yield from enumerate(csv.reader(file, delimiter=delimiter, quoting=quoting), 1)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MerEdgeError(
            f"{path}: cannot be read ({error}); expected the corpus's table as UTF-8 text"
        ) from error


def _sentences(
    path: Path, texts: list[str], ids: list[str], labels: list[NDArray[np.bool_]]
) -> Sentences:
    if not texts:
        raise MerEdgeError(f"{path}: no sentence with a label; expected the corpus's table")
    return Sentences(tuple(texts), tuple(ids), np.stack(labels))
