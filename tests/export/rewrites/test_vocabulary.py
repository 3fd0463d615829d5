from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from export.rewrites.vocabulary import prune_vocabulary, read_texts, with_pruned_vocabulary
from mer_edge.errors import MerEdgeError
from mer_edge.model.checkpoint import load_checkpoint
from mer_edge.text.tokenizer import TextTokenizer
from tests.make_tiny_bundle import make_checkpoint

WORDS = ("[PAD]", "over", "ing", "[UNK]", "##ing", "##go", "go", "a", "##a", "b", "##b", "i", "##i")
MORE = ("n", "##n", "g", "##g", "o", "##o", "[CLS]", "[SEP]", "goa", "##ab", "bing", "e", "ab")
VOCABULARY = {token: index for index, token in enumerate((*WORDS, *MORE))}


def tokenizer_json(processor: str = "bert") -> str:
    tokenizer = Tokenizer(models.WordPiece(VOCABULARY, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [(name, VOCABULARY[name]) for name in ("[SEP]", "[CLS]")]
    tokenizer.post_processor = processors.BertProcessing(*ends)
    if processor == "template":
        template = "[CLS] $A [SEP]"
        tokenizer.post_processor = processors.TemplateProcessing(template, None, ends)
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    return tokenizer.to_str()


def tokens(text: str, json_text: str) -> list[str]:
    return Tokenizer.from_str(json_text).encode(text).tokens


@pytest.mark.parametrize("processor", ["bert", "template"])
def test_what_stays_and_how_it_is_numbered(processor):
    whole = tokenizer_json(processor)
    pruned = prune_vocabulary(whole, ["going ab"])
    vocabulary = Tokenizer.from_str(pruned.tokenizer_json).get_vocab()
    gone = set(VOCABULARY) - set(vocabulary)
    assert gone == {"over", "ing", "##go", "goa", "##ab", "bing"}
    assert sorted(vocabulary.values()) == list(range(len(VOCABULARY) - 6))
    names = list(VOCABULARY)
    assert {names[row]: new for new, row in enumerate(pruned.kept_rows)} == vocabulary
    assert vocabulary["[PAD]"] == 0
    assert tokens("going ab", pruned.tokenizer_json) == ["[CLS]", "go", "##ing", "ab", "[SEP]"]
    ids = Tokenizer.from_str(pruned.tokenizer_json).encode("going ab").ids
    assert pruned.kept_rows[ids].tolist() == Tokenizer.from_str(whole).encode("going ab").ids


def test_another_word_is_spelled_with_what_is_left():
    pruned = prune_vocabulary(tokenizer_json(), ["going"])
    assert tokens("goab", tokenizer_json())[1:-1] == ["goa", "##b"]
    assert tokens("goab", pruned.tokenizer_json)[1:-1] == ["go", "##a", "##b"]
    assert tokens("over", tokenizer_json())[1:-1] == ["over"]
    # There is neither ##v nor ##e: no letters to spell it with.
    assert tokens("over", pruned.tokenizer_json)[1:-1] == ["[UNK]"]


@settings(max_examples=60, deadline=None)
@given(corpus=st.lists(st.text("abingo ", min_size=1), min_size=1), other=st.text("abingo "))
def test_the_texts_themselves_are_tokenized_as_before_and_nothing_becomes_unknown(corpus, other):
    whole = tokenizer_json()
    if not any(text.strip() for text in corpus):
        corpus = [*corpus, "go"]
    pruned = prune_vocabulary(whole, corpus)
    before, after = Tokenizer.from_str(whole), Tokenizer.from_str(pruned.tokenizer_json)
    for text in corpus:
        assert after.encode(text).tokens == before.encode(text).tokens
        ids = after.encode(text).ids
        assert pruned.kept_rows[ids].tolist() == before.encode(text).ids
    assert "[UNK]" not in after.encode(other).tokens


def test_tokens_that_are_rare_in_the_texts_may_go_too():
    texts = ["going", "going", "ab"]
    vocabulary = Tokenizer.from_str(
        prune_vocabulary(tokenizer_json(), texts, least_count=2).tokenizer_json
    ).get_vocab()
    assert "go" in vocabulary
    assert "##ing" in vocabulary
    assert "ab" not in vocabulary


def test_refusals_say_what_to_do():
    with pytest.raises(MerEdgeError, match=r"hold no token; expected sentences"):
        prune_vocabulary(tokenizer_json(), ["", "  "])
    other = Tokenizer(models.BPE({"a": 0}, []))
    with pytest.raises(MerEdgeError, match="type BPE; only the vocabulary of a WordPiece"):
        prune_vocabulary(other.to_str(), ["a"])
    loose = Tokenizer.from_str(tokenizer_json())
    loose.add_tokens(["<new>"])
    with pytest.raises(MerEdgeError, match="'<new>' is not in its vocabulary"):
        prune_vocabulary(loose.to_str(), ["a"])
    without = json.loads(tokenizer_json()) | {"post_processor": None}
    with pytest.raises(MerEdgeError, match="post-processor is of the type None"):
        prune_vocabulary(json.dumps(without), ["a"])


def test_a_file_that_cannot_be_read(tmp_path):
    file = tmp_path / "words.txt"
    with pytest.raises(MerEdgeError, match=r"words\.txt: cannot be read \(No such file"):
        read_texts(file)
    file.write_bytes("groß".encode("latin-1"))
    with pytest.raises(MerEdgeError, match="not UTF-8"):
        read_texts(file)
    file.write_text("one two\ngroß\n", encoding="utf-8")
    assert read_texts(file) == ["one two", "groß"]


def test_a_checkpoint_with_fewer_words_gives_the_same_vectors(tmp_path):
    make_checkpoint(tmp_path / "run")
    whole = load_checkpoint(tmp_path / "run")
    text = "This makes me really angry."
    smaller = with_pruned_vocabulary(whole, [text], tmp_path / "tokenizer.json")
    assert smaller.tokenizer_path == tmp_path / "tokenizer.json"
    vectors = []
    for checkpoint in (whole, smaller):
        encoder = checkpoint.model.text_encoder
        ids = TextTokenizer(checkpoint.tokenizer_path, 128).encode(text).input_ids
        with torch.inference_mode():
            vectors.append(encoder(torch.from_numpy(ids), torch.ones(ids.shape).long()).numpy())
    np.testing.assert_array_equal(*vectors)
    rows = smaller.model.text_encoder.bert.embeddings.word_embeddings.weight
    assert smaller.model.config.text.vocab_size == len(rows)
    assert len(rows) < whole.model.config.text.vocab_size == 512
    assert whole.model.text_encoder.bert.embeddings.word_embeddings.weight.shape == (512, 32)
    # The rest of the weights is not there twice.
    for name, weight in smaller.model.named_parameters():
        if "word_embeddings" not in name:
            assert weight is whole.model.get_parameter(name)
