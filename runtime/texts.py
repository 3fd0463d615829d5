"""The text side of a batch: tokens, the text graph, and the stand-in where there is no text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mer_edge.bundle import Bundle, load_constants
from mer_edge.clip import Clip
from mer_edge.errors import MerEdgeError
from mer_edge.text.tokenizer import TextTokenizer
from runtime.backend import LoadedGraph


@dataclass(frozen=True)
class TokenBatch:
    """The texts that are there, padded to one length."""

    present: NDArray[np.bool_]
    """shape = (B,): which clips have a text"""
    input_ids: NDArray[np.int64]
    """shape = (clips with text, L)"""
    attention_mask: NDArray[np.int64]
    """shape = (clips with text, L), 0 for padding"""
    notes: tuple[str | None, ...]
    """Per clip of the batch: that its text was cut to the encoder's limit, or None."""


@dataclass(frozen=True)
class EncodedText:
    """What the encoders and the fusion get to know of the text."""

    vectors: NDArray[np.float32]
    """shape = (B, d_t)"""
    present: NDArray[np.bool_]
    """shape = (B,)"""
    tokens: NDArray[np.float32] | None
    """shape = (B, L, d_t), where the text graph gives them"""
    token_mask: NDArray[np.bool_] | None
    """shape = (B, L), at least one true in each row"""

    @classmethod
    def nothing(cls, clips: int) -> EncodedText:
        """Of a bundle without a text graph, whose other graphs ask for nothing of it."""
        return cls(np.zeros((clips, 0), np.float32), np.zeros(clips, np.bool_), None, None)

    def guide(self, name: str) -> NDArray[np.generic]:
        """What an encoder's input ``name`` (text, tokens or token_mask) takes, one row a clip."""
        guides = {"text": self.vectors, "tokens": self.tokens, "token_mask": self.token_mask}
        found = guides[name]
        assert found is not None  # Bundle.load refuses encoders that want what no graph gives
        return found


class TextSide(Protocol):
    """What the chain asks of the text side."""

    def tokenize(self, clips: Sequence[Clip]) -> TokenBatch: ...

    def encode(self, batch: TokenBatch, graph: LoadedGraph) -> EncodedText: ...


class Texts:
    """Tokenizer, token limits and the vector that stands in for missing text.

    Raises:
        MerEdgeError: the bundle's tokenizer or constants cannot be read.
    """

    def __init__(self, bundle: Bundle) -> None:
        manifest = bundle.manifest
        self._tokenizer = TextTokenizer(bundle.tokenizer_path, manifest.max_tokens)
        self._absent: NDArray[np.float32] = load_constants(bundle)["absent_text"]
        self._least_tokens = manifest.shape_ranges["tokens"].minimum
        self._gives_tokens = any(
            tensor.name == "tokens" for tensor in manifest.graphs["text"].outputs
        )

    def tokenize(self, clips: Sequence[Clip]) -> TokenBatch:
        """Token ids of the clips' texts; a text that is too long is cut, and that is told.

        Raises:
            MerEdgeError: a clip's text is empty; a clip without text has None.
        """
        for clip in clips:
            if clip.text is not None and not clip.text.strip():
                raise MerEdgeError(
                    f"{clip.source or 'clip'}: the text is empty; expected words, or no text"
                )
        present = np.array([clip.text is not None for clip in clips])
        encoded = [self._tokenizer.encode(clip.text) for clip in clips if clip.text is not None]
        length = max([self._least_tokens, *(text.input_ids.shape[1] for text in encoded)])
        input_ids = np.zeros((len(encoded), length), np.int64)
        attention_mask = np.zeros((len(encoded), length), np.int64)
        for row, text in enumerate(encoded):
            count = text.input_ids.shape[1]
            input_ids[row, :count] = text.input_ids[0]
            attention_mask[row, :count] = text.attention_mask[0]
        notes = iter([text.note for text in encoded])
        clip_notes = tuple(next(notes) if has else None for has in present)
        return TokenBatch(present, input_ids, attention_mask, clip_notes)

    def encode(self, batch: TokenBatch, graph: LoadedGraph) -> EncodedText:
        """Run the text graph on the texts that are there; the others get the stand-in."""
        count, length = len(batch.present), batch.input_ids.shape[1]
        vectors = np.tile(self._absent, (count, 1))
        outputs = {}
        if batch.present.any():
            feeds = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
            outputs = graph.run(feeds)
            vectors[batch.present] = outputs["text"]
        if not self._gives_tokens:
            return EncodedText(vectors, batch.present, None, None)
        # No text is one valid token: a row without any would have nothing to attend to.
        tokens = np.zeros((count, length, len(self._absent)), np.float32)
        token_mask = np.zeros((count, length), np.bool_)
        tokens[:, 0] = self._absent
        token_mask[:, 0] = True
        if batch.present.any():
            tokens[batch.present] = outputs["tokens"]
            token_mask[batch.present] = batch.attention_mask.astype(np.bool_)
        return EncodedText(vectors, batch.present, tokens, token_mask)
