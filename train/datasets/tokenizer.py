"""A small WordPiece tokenizer made from a data set's own sentences, in BERT's format.

It stands in for a real encoder's vocabulary where the text encoder is trained from nothing.
The library's own trainer breaks ties by the order of a hash map, so the same sentences give
another vocabulary each time; here the most frequent whole words become the vocabulary, and the
letters behind them spell every other word.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CONTINUATION = "##"
LONGEST_WORD_CHARACTERS = 100
"""BERT's own limit: a longer word is unknown instead of spelled."""


def build_tokenizer(sentences: Iterable[str], vocabulary_size: int = 512) -> str:
    """The text of a ``tokenizer.json``: lower case, ``[CLS] words [SEP]``, pads with 0.

    Words that appear more often come first, alphabetically among equals: the same sentences give
    the same text in any order. Letters, digits and ASCII punctuation are always in it.

    Raises:
        ValueError: ``vocabulary_size`` has no room for the letters.
    """
    normalizer = normalizers.BertNormalizer(lowercase=True)
    pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    counts = Counter(
        word
        for sentence in sentences
        for word, _ in pre_tokenizer.pre_tokenize_str(normalizer.normalize_str(sentence))
    )
    vocabulary = _vocabulary(counts, vocabulary_size)
    tokenizer = Tokenizer(
        models.WordPiece(
            vocabulary,
            unk_token="[UNK]",
            continuing_subword_prefix=CONTINUATION,
            max_input_chars_per_word=LONGEST_WORD_CHARACTERS,
        )
    )
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
    )
    tokenizer.decoder = decoders.WordPiece(prefix=CONTINUATION)
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return str(tokenizer.to_str(pretty=True))


def _vocabulary(counts: Counter[str], vocabulary_size: int) -> dict[str, int]:
    characters = string.ascii_lowercase + string.digits
    pieces = [
        *SPECIAL_TOKENS,
        *string.punctuation,
        *characters,
        *(CONTINUATION + character for character in characters),
    ]
    if len(pieces) > vocabulary_size:
        raise ValueError(
            f"vocabulary_size {vocabulary_size} is below the {len(pieces)} pieces of spelling"
        )
    known = set(pieces)
    words = sorted((word for word in counts if word not in known), key=lambda w: (-counts[w], w))
    return {piece: index for index, piece in enumerate((pieces + words)[:vocabulary_size])}
