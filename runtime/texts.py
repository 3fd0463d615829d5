"""The text side of a batch: tokens, the text graph, and the stand-in where there is no text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mer_edge.bundle import Bundle, load_constants
from mer_edge.clip import Clip
from mer_edge.errors import MerEdgeError
from mer_edge.text.tokenizer import TextTokenizer
from runtime.arrays import HOST, Array, ArrayOps
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

    vectors: Array
    """shape = (B, d_t), float32"""
    present: NDArray[np.bool_]
    """shape = (B,)"""
    tokens: Array | None = None
    """shape = (B, L, d_t), float32, where the text graph gives them"""
    token_mask: NDArray[np.bool_] | None = None
    """shape = (B, L), at least one true in each row"""
    notes: tuple[str | None, ...] = ()
    """Per clip: that its text was cut to the encoder's limit, or None."""

    @classmethod
    def nothing(cls, clips: int) -> EncodedText:
        """Of a bundle without a text graph, whose other graphs ask for nothing of it."""
        absent = np.zeros(clips, np.bool_)
        return cls(np.zeros((clips, 0), np.float32), absent, notes=(None,) * clips)

    def guide(self, name: str) -> Array:
        """What an encoder's input ``name`` (text, tokens or token_mask) takes, one row a clip."""
        guides: dict[str, Array | None] = {
            "text": self.vectors,
            "tokens": self.tokens,
            "token_mask": self.token_mask,
        }
        found = guides[name]
        assert found is not None  # Bundle.load refuses encoders that want what no graph gives
        return found


class TextSide(Protocol):
    """What the chain asks of the text side."""

    def tokenize(self, clips: Sequence[Clip]) -> TokenBatch: ...

    def encode(self, batch: TokenBatch, graph: LoadedGraph) -> EncodedText: ...


class Texts:
    """Tokenizer, token limits and the vector that stands in for missing text.

    Args:
        arrays: what fetches the text graph's outputs to where they can be mixed with the stand-in.

    Raises:
        MerEdgeError: the bundle's tokenizer or constants cannot be read.
    """

    def __init__(self, bundle: Bundle, arrays: ArrayOps = HOST) -> None:
        manifest = bundle.manifest
        self._arrays = arrays
        self._tokenizer = TextTokenizer(bundle.tokenizer_path, manifest.max_tokens)
        self._absent: NDArray[np.float32] = load_constants(bundle)["absent_text"]
        self._least_tokens = manifest.shape_ranges["tokens"].minimum
        spec = manifest.graphs["text"]
        # Such a graph measures the ranges of its numbers in each run, over all that is in it.
        self._alone = spec.precision == "int8" and manifest.target == "cpu"
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
        """Run the text graph on the texts that are there; the others get the stand-in.

        Where every clip has a text, what the graph gives stays where its engine keeps it. Texts
        of an INT8 graph for the CPU run one by one: what is said of a clip must not depend on the
        others that happen to be in its batch.
        """
        outputs: dict[str, Array] = {}
        if batch.present.any():
            run = self._run_alone if self._alone and len(batch.input_ids) > 1 else _run_together
            outputs = run(batch, graph)
        if batch.present.all():
            mask = batch.attention_mask.astype(np.bool_) if self._gives_tokens else None
            return EncodedText(
                outputs["text"], batch.present, outputs.get("tokens"), mask, batch.notes
            )
        return self._with_stand_ins(batch, {k: self._arrays.to_host(v) for k, v in outputs.items()})

    def _run_alone(self, batch: TokenBatch, graph: LoadedGraph) -> dict[str, Array]:
        """Each text in a run of its own, and none of its padding."""
        count, length = batch.input_ids.shape
        joined: dict[str, NDArray[Any]] = {}
        for row in range(count):
            own = max(self._least_tokens, int(batch.attention_mask[row].sum()))
            feeds = {
                "input_ids": batch.input_ids[row : row + 1, :own],
                "attention_mask": batch.attention_mask[row : row + 1, :own],
            }
            for name, output in graph.run(feeds).items():
                values = self._arrays.to_host(output)[0]
                if name not in joined:
                    shape = (length, *values.shape[1:]) if name == "tokens" else values.shape
                    joined[name] = np.zeros((count, *shape), values.dtype)
                joined[name][row, : len(values)] = values
        return dict(joined)

    def _with_stand_ins(self, batch: TokenBatch, outputs: dict[str, NDArray[Any]]) -> EncodedText:
        count, length = len(batch.present), batch.input_ids.shape[1]
        vectors = np.tile(self._absent, (count, 1))
        if outputs:
            vectors[batch.present] = outputs["text"]
        if not self._gives_tokens:
            return EncodedText(vectors, batch.present, notes=batch.notes)
        # No text is one valid token: a row without any would have nothing to attend to.
        tokens = np.zeros((count, length, len(self._absent)), np.float32)
        token_mask = np.zeros((count, length), np.bool_)
        tokens[:, 0] = self._absent
        token_mask[:, 0] = True
        if outputs:
            tokens[batch.present] = outputs["tokens"]
            token_mask[batch.present] = batch.attention_mask.astype(np.bool_)
        return EncodedText(vectors, batch.present, tokens, token_mask, batch.notes)


def _run_together(batch: TokenBatch, graph: LoadedGraph) -> dict[str, Any]:
    return graph.run({"input_ids": batch.input_ids, "attention_mask": batch.attention_mask})
