import numpy as np
import pytest

from mer_edge.errors import MerEdgeError
from train.datasets.sentences import (
    EMOTIONS,
    WORDS,
    ambiguous_sentences,
    sentences_of,
    split_pools,
)


def test_there_are_a_few_hundred_different_sentences_an_emotion() -> None:
    every = [sentences_of(emotion) for emotion in EMOTIONS] + [ambiguous_sentences()]
    assert [len(sentences) for sentences in every] == [460, 460, 460, 460, 240]
    flat = [sentence for sentences in every for sentence in sentences]
    assert len(set(flat)) == len(flat)


def test_sentences_are_written_as_people_write_them() -> None:
    for sentence in sentences_of("happy") + ambiguous_sentences():
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert "{" not in sentence
        assert 3 <= len(sentence.split()) <= 12


def test_an_emotion_is_named_by_its_own_words_alone() -> None:
    for emotion in EMOTIONS:
        foreign = {w for other in EMOTIONS if other != emotion for w in WORDS[other]}
        for sentence in sentences_of(emotion):
            assert not foreign & set(sentence.lower().strip(".").replace(",", "").split())
    named = {word for words in WORDS.values() for word in words}
    for sentence in ambiguous_sentences():
        # "again" and "there" say nothing by themselves: neutral words may appear here.
        words = set(sentence.lower().strip(".").split())
        assert not (named - set(WORDS["neutral"])) & words


def test_pools_share_the_sentences_out() -> None:
    sentences = ambiguous_sentences()
    shares = {"train": 0.5, "valid": 0.25, "test": 0.25}
    pools = split_pools(sentences, shares, np.random.default_rng(0))
    dealt = [set(pool.sentences) for pool in pools.values()]
    assert [len(part) for part in dealt] == [120, 60, 60]
    assert set.union(*dealt) == set(sentences)
    drawn = [pools["valid"].draw() for _ in range(61)]
    assert len(set(drawn[:60])) == 60
    assert drawn[60] == drawn[0]


def test_a_split_without_a_sentence_is_an_error() -> None:
    with pytest.raises(MerEdgeError, match="'test' gets no sentence"):
        split_pools(("One.", "Two."), {"train": 0.9, "test": 0.1}, np.random.default_rng(0))
