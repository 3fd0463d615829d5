import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from mer_edge.errors import MerEdgeError
from mer_edge.text.tokenizer import TextTokenizer

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world", "##s", "happy", "!"]
CLS, SEP, UNK, HELLO, WORLD, S = 2, 3, 1, 5, 6, 7


def bert_json():
    """A BERT tokenizer as models carry it: with padding and truncation left switched on."""
    ids = {token: i for i, token in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", SEP), ("[CLS]", CLS))
    tokenizer.enable_padding(length=128)
    tokenizer.enable_truncation(4)
    return tokenizer.to_str()


JSON = bert_json()


def test_tokens_of_a_known_text_without_the_files_own_padding_and_truncation():
    tokens = TextTokenizer(JSON, max_tokens=16).encode("Hello  worlds, Wörld!")
    assert tokens.input_ids.tolist() == [[CLS, HELLO, WORLD, S, UNK, WORLD, 9, SEP]]
    assert tokens.attention_mask.tolist() == [[1] * 8]
    assert tokens.input_ids.dtype == tokens.attention_mask.dtype == np.int64
    assert tokens.truncated_from is None
    assert tokens.note is None


def test_a_file_is_read_as_its_text_is(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(JSON)
    tokenizer = TextTokenizer(path, max_tokens=16)
    assert tokenizer.encode("hello").input_ids.tolist() == [[CLS, HELLO, SEP]]
    assert tokenizer.vocabulary_size == len(VOCABULARY)
    assert tokenizer.max_tokens == 16


def test_the_limit_is_met_exactly_before_anything_is_cut():
    tokenizer = TextTokenizer(JSON, max_tokens=6)
    assert tokenizer.encode("hello " * 4).truncated_from is None
    cut = tokenizer.encode("hello hello hello hello world")
    assert cut.input_ids.tolist() == [[CLS, HELLO, HELLO, HELLO, HELLO, SEP]]
    assert cut.truncated_from == 7
    assert cut.note == ("the text has 7 tokens and the text encoder reads 6: the rest was cut off")


def test_ten_thousand_characters_keep_both_ends_marked():
    text = "hello world " * 834  # 10,008 characters
    tokens = TextTokenizer(JSON, max_tokens=512).encode(text)
    assert tokens.input_ids.shape == tokens.attention_mask.shape == (1, 512)
    assert tokens.input_ids[0, 0] == CLS
    assert tokens.input_ids[0, -1] == SEP
    assert tokens.truncated_from == 2 * 834 + 2


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=200), max_tokens=st.integers(3, 12))
def test_any_unicode_text(text, max_tokens):
    tokenizer = TextTokenizer(JSON, max_tokens)
    tokens = tokenizer.encode(text)
    length = tokens.input_ids.shape[1]
    assert tokens.input_ids.shape == tokens.attention_mask.shape == (1, length)
    assert 2 <= length <= max_tokens
    assert tokens.input_ids[0, 0] == CLS
    assert tokens.input_ids[0, -1] == SEP
    assert 0 <= tokens.input_ids.min() <= tokens.input_ids.max() < tokenizer.vocabulary_size
    assert tokens.attention_mask.all()
    assert tokens.truncated_from is None or tokens.truncated_from > max_tokens == length
    assert tokenizer.encode(text).input_ids.tolist() == tokens.input_ids.tolist()


def test_a_lone_surrogate_is_a_clear_error():
    with pytest.raises(MerEdgeError, match="character 1 is a lone surrogate"):
        TextTokenizer(JSON, 16).encode("a\ud800")


def test_fewer_than_three_tokens_are_refused():
    with pytest.raises(MerEdgeError, match="max_tokens is 2; expected at least 3"):
        TextTokenizer(JSON, 2)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a tokenizer"),
        (b"{}", "not a tokenizer"),
        (b"hello", "not a tokenizer"),
        (b"\xff\xfe{", "not UTF-8"),
        (json.dumps({**json.loads(JSON), "post_processor": None}).encode(), "adds no token"),
    ],
)
def test_another_file_is_refused_by_name(tmp_path, content, reason):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(MerEdgeError) as error:
        TextTokenizer(path, 16)
    assert str(error.value).startswith(str(path))
    assert reason in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MerEdgeError, match="No such file"):
        TextTokenizer(tmp_path / "tokenizer.json", 16)
