"""The text encoder's recipe, on a BERT of a few weights: pruned, resumed, split, measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

from mer_edge.errors import MerEdgeError
from mer_edge.model.config import TextSizes
from mer_edge.model.text import LoadedText, TextEncoder, load_text_encoder
from train.progress import Silent
from train.recipes.sentences import LABELS, goemotions_test, goemotions_train, is_held_out
from train.recipes.small_bert import english_tokens, smaller_bert, write_bert
from train.recipes.spoken import SpokenChanges, spoken
from train.recipes.temperature import fit_temperature
from train.recipes.text import HEAD_FILE, STATE_FILE, TextSettings, train_text
from train.recipes.text_network import TextClassifier, first_token
from train.recipes.text_scores import score, sentence_logits, unknown_share

WORDS = ("rage", "yuck", "scared", "joy", "table", "sad", "wow")
"""One for each label."""
OTHERS = ("the", "is", "so", "today", "zebra", "##s", "##ing", "q", "##q", "語", "i", ".", ",", "'")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SIZES = TextSizes(
    vocab_size=len(SPECIAL) + len(WORDS) + len(OTHERS),
    hidden_size=16,
    num_hidden_layers=3,
    num_attention_heads=2,
    intermediate_size=24,
    max_position_embeddings=16,
)
SETTINGS = TextSettings(
    layers=(0, 2),
    least_count=2,
    frequent_words=3,
    max_tokens=16,
    epochs=2,
    sentences_per_batch=8,
    learning_rate=3e-3,
    steps_per_checkpoint=4,
)


class Killed(Exception):  # noqa: N818
    """Stands in for the end of the process."""


class KilledAfter(Silent):
    def __init__(self, steps: int) -> None:
        self.steps = steps

    def step(self, stage: str, done: int, total: int, detail: str = "") -> None:
        if done == self.steps:
            raise Killed


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face folder."""
    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join((*SPECIAL, *WORDS, *OTHERS)), encoding="utf-8")
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=SIZES.vocab_size,
        hidden_size=SIZES.hidden_size,
        num_hidden_layers=SIZES.num_hidden_layers,
        num_attention_heads=SIZES.num_attention_heads,
        intermediate_size=SIZES.intermediate_size,
        max_position_embeddings=SIZES.max_position_embeddings,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


@pytest.fixture(scope="module")
def loaded(bert: Path) -> LoadedText:
    return load_text_encoder(bert)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpora's tables: each sentence has the word of its label."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("goemotions", "meld", "isear", "emorynlp"):
        (folder / name).mkdir()
    rng = np.random.default_rng(1)
    for split, count in (("train", 240), ("dev", 40)):
        rows = []
        for number in range(count):
            label = number % 7
            rest = rng.choice(["the", "is", "so", "today"], 4)
            text = " ".join([*rest, WORDS[label], "i" * (number % 2), split])
            both = f"{label},{(label + 1) % 7}" if number % 20 == 0 else str(label)
            rows.append(f"{text} {number}\t{both}\t{split}{number}\n")
        (folder / "goemotions" / f"{split}.tsv").write_text("".join(rows))
    table = 'No,Utterance,Emotion\n1,So is joy.,joy\n2,"The table, today",neutral\n3,sad,sadness\n'
    (folder / "meld/dev_sent_emo.csv").write_text(table)
    (folder / "isear/isear.tsv").write_text("label\ttext\njoy\tthe joy\nshame\tx\nanger\trage\n")
    table = "Utterance,Emotion\njoy,Joyful\nrage,Mad\nso,Peaceful\n"
    (folder / "emorynlp/emory_test.csv").write_text(table)
    return folder


def vectors(loaded: LoadedText, text: str) -> torch.Tensor:
    encoder = TextEncoder(loaded.sizes, 0.0).eval()
    encoder.bert.load_state_dict(loaded.bert.state_dict())
    ids = torch.tensor([Tokenizer.from_str(loaded.tokenizer_json).encode(text).ids])
    with torch.inference_mode():
        return encoder(ids, torch.ones_like(ids))


def test_a_pruned_vocabulary_gives_the_same_vectors_on_what_stays(loaded):
    tokens = english_tokens(loaded.tokenizer_json, ["the joys is sad", "joys is the sad"], 2, 1)
    assert {"the", "joy", "##s", "is", "sad", "rage", "q", "##q", "."} <= tokens
    assert not {"zebra", "##ing", "語", "wow"} & tokens
    small = smaller_bert(loaded, tokens, (0, 1, 2))
    assert small.sizes == replace(SIZES, vocab_size=len(tokens | set(SPECIAL)))
    torch.testing.assert_close(vectors(small, "joys is sad"), vectors(loaded, "joys is sad"))
    tokenizer = Tokenizer.from_str(small.tokenizer_json)
    assert tokenizer.encode("the zebra").tokens == ["[CLS]", "the", "[UNK]", "[SEP]"]
    assert unknown_share(tokenizer, ["the zebra", "joys 語"]) == 2 / 5


def test_the_last_layer_for_one_token_gives_the_same_vector(loaded):
    encoder = TextEncoder(loaded.sizes, 0.1).eval()
    encoder.bert.load_state_dict(loaded.bert.state_dict())
    ids = torch.randint(len(SPECIAL), SIZES.vocab_size, (3, 6))
    mask = torch.ones_like(ids)
    mask[1, 3:] = 0
    torch.testing.assert_close(first_token(encoder, ids, mask), encoder(ids, mask)[:, 0])


def test_layers_are_kept_by_number_and_the_folder_loads(loaded, tmp_path):
    every = set(Tokenizer.from_str(loaded.tokenizer_json).get_vocab())
    small = smaller_bert(loaded, every, (0, 2))
    assert small.sizes.num_hidden_layers == 2
    for new, old in ((0, 0), (1, 2)):
        found = small.bert.encoder.layer[new].state_dict()
        for name, tensor in loaded.bert.encoder.layer[old].state_dict().items():
            assert torch.equal(found[name], tensor)
    write_bert(tmp_path, small)
    again = load_text_encoder(tmp_path)
    assert again.sizes == small.sizes
    torch.testing.assert_close(vectors(again, "so is joy"), vectors(small, "so is joy"))
    for layers in ((), (1, 0), (0, 3)):
        with pytest.raises(MerEdgeError, match="ascending numbers from 0 to 2"):
            smaller_bert(loaded, every, layers)


def test_what_trains_and_what_measures_are_disjoint(data):
    train, held_out = goemotions_train(data)
    test = goemotions_test(data)
    assert len(train) + len(held_out) == 240
    assert 0 < len(held_out) < 40
    assert not set(train.ids) & set(held_out.ids)
    assert all(map(is_held_out, held_out.ids))
    assert not any(map(is_held_out, train.ids))
    assert not set(train.texts) & {*held_out.texts, *test.texts}
    assert np.flatnonzero(test.labels[20]).tolist() == [0, 6]
    assert int((~test.single).sum()) == 2
    np.testing.assert_allclose(test.targets.sum(1), 1)


def test_a_sentence_of_the_test_set_does_not_train(data, tmp_path):
    folder = tmp_path / "goemotions"
    folder.mkdir()
    lines = (data / "goemotions/train.tsv").read_text().splitlines(keepends=True)
    first = next(line for line in lines if not is_held_out(line.split("\t")[2].strip()))
    (folder / "train.tsv").write_text("".join(lines))
    (folder / "dev.tsv").write_text(first.split("\t")[0].upper() + "!\t4\tother\n")
    train, _ = goemotions_train(tmp_path)
    assert first.split("\t")[0] not in train.texts
    assert len(train) == len(goemotions_train(data)[0]) - 1
    (folder / "dev.tsv").write_text("a\tseven\tx\n")
    with pytest.raises(MerEdgeError, match="line 1: not a row of GoEmotions"):
        goemotions_test(tmp_path)


def test_a_killed_run_goes_on_to_the_same_weights(bert, data, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train_text(data, bert, whole, SETTINGS)
    steps = -(-len(goemotions_train(data)[0]) // SETTINGS.sentences_per_batch)
    for killed_after in (6, steps + 5):  # two and one steps after a checkpoint; in both epochs
        with pytest.raises(Killed):
            train_text(data, bert, parts, SETTINGS, KilledAfter(killed_after))
        assert (parts / STATE_FILE).is_file()
    with pytest.raises(MerEdgeError, match="other settings or data"):
        train_text(data, bert, parts, replace(SETTINGS, seed=1))
    train_text(data, bert, parts, SETTINGS)
    for name in ("model.safetensors", HEAD_FILE):
        one, other = (load_file(out / "text" / name) for out in (whole, parts))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert not (parts / STATE_FILE).exists()
    written = (whole / "text/text.json").stat().st_mtime_ns
    train_text(data, bert, whole, SETTINGS)
    assert (whole / "text/text.json").stat().st_mtime_ns == written


def test_it_learns_and_what_it_writes_gives_its_figures_again(bert, data, tmp_path):
    folder = train_text(data, bert, tmp_path, replace(SETTINGS, epochs=8, learning_rate=1e-2))
    record = json.loads((folder / "text.json").read_text())
    figures = record["figures"]
    assert record["labels"] == list(LABELS)
    assert figures["goemotions_dev_single"]["accuracy"] > 0.9
    assert figures["goemotions_dev_single"]["sentences"] == 38
    assert figures["goemotions_dev_all"]["sentences"] == 40
    assert figures["meld_dev"]["sentences"] == 3
    assert figures["isear"]["sentences"] == figures["emorynlp_test"]["sentences"] == 2
    assert 0.2 < record["temperature"] < 5

    again = load_text_encoder(folder)
    model = TextClassifier(again.sizes, 64, 0.1).eval()
    model.encoder.bert.load_state_dict(again.bert.state_dict())
    model.head.load_state_dict(load_file(folder / HEAD_FILE))
    test = goemotions_test(data)
    test = test.chosen(test.single)
    tokenizer = Tokenizer.from_str(again.tokenizer_json)
    logits = sentence_logits(model, tokenizer, test.texts)
    found, written = score(test, logits), figures["goemotions_dev_single"]
    assert found.pop("f1") == pytest.approx(written.pop("f1"), rel=1e-6)
    assert found == pytest.approx(written, rel=1e-6)


def test_the_temperature_undoes_a_scale():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 7)) * 2
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = (shares.cumsum(1) > rng.random((4000, 1))).argmax(1)
    targets = np.eye(7, dtype=np.float32)[truth]
    assert fit_temperature(logits, targets) == pytest.approx(1.0, abs=0.06)
    assert fit_temperature(3 * logits, targets) == pytest.approx(3.0, abs=0.18)


def test_sentences_as_an_asr_writes_them():
    never = SpokenChanges(0, 0, 0, 0, 0)
    rng = np.random.default_rng(0)
    text = "Don't, [NAME]!"
    assert spoken(text, never, rng) == text
    assert spoken(text, replace(never, no_punctuation=1), rng) == "Don't NAME"
    assert spoken(text, replace(never, no_last_mark=1), rng) == "Don't, [NAME]"
    assert spoken(text, replace(never, no_apostrophes=1), rng) == "Dont, [NAME]!"
    assert spoken(text, replace(never, other_apostrophes=1), rng) == "Don\u2019t, [NAME]!"
    assert "[" not in spoken(text, replace(never, fill_names=1), rng)
    assert spoken("?!", replace(never, no_punctuation=1), rng) == "?!"
