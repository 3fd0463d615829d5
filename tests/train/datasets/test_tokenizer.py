import json
import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from train.datasets.sentences import EMOTIONS, ambiguous_sentences, sentences_of
from train.datasets.tokenizer import build_tokenizer

SENTENCES = [s for emotion in EMOTIONS for s in sentences_of(emotion)] + [*ambiguous_sentences()]
TOKENIZER = Tokenizer.from_str(build_tokenizer(SENTENCES))


def test_has_the_special_tokens_first_and_fits_the_tiny_preset() -> None:
    tokens = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    assert [TOKENIZER.token_to_id(token) for token in tokens] == [0, 1, 2, 3, 4]
    assert TOKENIZER.get_vocab_size() <= 512
    assert sorted(TOKENIZER.get_vocab().values()) == list(range(TOKENIZER.get_vocab_size()))


def test_keeps_the_words_of_its_sentences_whole() -> None:
    tokens = TOKENIZER.encode("I am SO furious about the train.").tokens
    assert " ".join(tokens) == "[CLS] i am so furious about the train . [SEP]"


def test_spells_words_it_does_not_know() -> None:
    assert TOKENIZER.encode("Zoë!").tokens == ["[CLS]", "z", "##o", "##e", "!", "[SEP]"]
    assert TOKENIZER.encode("漢").tokens == ["[CLS]", "[UNK]", "[SEP]"]
    assert TOKENIZER.decode(TOKENIZER.encode("a brave quokka").ids) == "a brave quokka"


def test_a_small_vocabulary_keeps_the_most_frequent_words() -> None:
    tokenizer = Tokenizer.from_str(build_tokenizer(["once twice often", "twice often"], 111))
    assert tokenizer.encode("often twice").tokens[1:-1] == ["often", "twice"]
    assert tokenizer.encode("once").tokens[1:-1] == ["o", "##n", "##c", "##e"]
    with pytest.raises(ValueError, match="below the 109 pieces"):
        build_tokenizer([], 108)


def test_the_same_sentences_give_the_same_text_in_any_order() -> None:
    shuffled = random.Random(0).sample(SENTENCES, len(SENTENCES))
    assert build_tokenizer(shuffled) == build_tokenizer(SENTENCES)
    assert json.loads(build_tokenizer(SENTENCES))["model"]["type"] == "WordPiece"


@settings(max_examples=50, deadline=None)
@given(
    st.text(alphabet=string.ascii_letters + string.digits + string.punctuation + " \n", max_size=90)
)
def test_no_english_text_is_unknown(text: str) -> None:
    assert "[UNK]" not in TOKENIZER.encode(text).tokens
