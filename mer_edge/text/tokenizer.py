"""Text to token ids, with the tokenizer.json that travels with the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mer_edge.errors import MerEdgeError

MAX_TOKENIZER_BYTES = 100_000_000
"""The largest vocabularies in use (250,000 entries) make files of about 20 MB."""


@dataclass(frozen=True, eq=False)
class TokenizedText:
    """One text, ready for the text encoder."""

    input_ids: NDArray[np.int64]
    """shape = (1, L)"""
    attention_mask: NDArray[np.int64]
    """shape = (1, L), all ones: one text needs no padding."""
    truncated_from: int | None
    """Tokens before the cut, [CLS] and [SEP] counted; None where nothing was cut."""

    @property
    def note(self) -> str | None:
        """What to tell the user of a cut, or None."""
        if self.truncated_from is None:
            return None
        return (
            f"the text has {self.truncated_from} tokens and the text encoder reads "
            f"{self.input_ids.shape[1]}: the rest was cut off"
        )


class TextTokenizer:
    """A ``tokenizer.json`` of Hugging Face's tokenizers library, with BERT's [CLS] and [SEP].

    Args:
        source: the file, or its text if it is a ``str``.
        max_tokens: what the text encoder takes at most, [CLS] and [SEP] counted; at least 3.

    Raises:
        MerEdgeError: the file cannot be read or is no tokenizer with [CLS] and [SEP].
    """

    def __init__(self, source: Path | str, max_tokens: int) -> None:
        if max_tokens < 3:
            raise MerEdgeError(
                f"max_tokens is {max_tokens}; expected at least 3: [CLS], one token, [SEP]"
            )
        name = str(source) if isinstance(source, Path) else "tokenizer.json"
        text = _read(source) if isinstance(source, Path) else source
        self.max_tokens = max_tokens
        self._tokenizer = _parse(text, name)
        self._special_tokens = self._tokenizer.num_special_tokens_to_add(is_pair=False)

    @property
    def vocabulary_size(self) -> int:
        """Ids are below this."""
        return int(max(self._tokenizer.get_vocab(with_added_tokens=True).values())) + 1

    def encode(self, text: str) -> TokenizedText:
        """Tokens of ``text``; what is beyond ``max_tokens`` is cut, [CLS] and [SEP] stay.

        Raises:
            MerEdgeError: ``text`` holds lone surrogates: it was not UTF-8 where it came from.
        """
        try:
            # The library takes lone surrogates for a wrong type.
            text.encode()
        except UnicodeEncodeError as error:
            raise MerEdgeError(
                f"the text's character {error.start} is a lone surrogate; "
                "expected Unicode text; read it as UTF-8"
            ) from error
        words = self._tokenizer.encode(text, add_special_tokens=False)
        count = len(words) + self._special_tokens
        words.truncate(self.max_tokens - self._special_tokens)
        encoding = self._tokenizer.post_process(words)
        return TokenizedText(
            input_ids=np.array([encoding.ids], dtype=np.int64),
            attention_mask=np.array([encoding.attention_mask], dtype=np.int64),
            truncated_from=count if count > self.max_tokens else None,
        )


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_TOKENIZER_BYTES:
            raise MerEdgeError(
                f"{path}: {path.stat().st_size / 1e6:.0f} MB; expected a tokenizer.json of at "
                f"most {MAX_TOKENIZER_BYTES / 1e6:.0f} MB; name the right file"
            )
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise MerEdgeError(
            f"{path}: cannot be read ({reason}); expected a tokenizer.json; check the name"
        ) from error


def _parse(text: str, name: str) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # the library raises bare Exception
        raise MerEdgeError(
            f"{name}: not a tokenizer ({error}); expected the tokenizer.json that Hugging Face "
            "tokenizers write; save it with tokenizer.save_pretrained(...)"
        ) from error
    # Files often carry the padding and truncation they were last used with.
    tokenizer.no_padding()
    tokenizer.no_truncation()
    special = tokenizer.encode("").tokens
    if len(special) != 2:
        raise MerEdgeError(
            f"{name}: the tokenizer adds {special or 'no token'} to an empty text; expected "
            "['[CLS]', '[SEP]']; take the tokenizer.json of a BERT model"
        )
    return tokenizer
