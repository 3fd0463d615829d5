"""From clips to the network's outputs: text first, then the encoders, then fusion.

Only what is present runs. Letters: B clips, N segments of the longest clip, S present segments of
all clips together, L tokens of the longest text, M labels.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_edge.bundle import Bundle, ShapeRange
from mer_edge.clip import Clip
from mer_edge.errors import MerEdgeError
from mer_edge.segments import SEGMENT_S
from runtime.backend import LoadedGraph
from runtime.texts import EncodedText, TextSide

Floats = NDArray[np.float32]
Tensors = dict[str, NDArray[Any]]
ENCODERS = {"audio": "waveform", "visual": "faces"}
"""The encoders in the order they run, and the input that is their signal."""


@dataclass(frozen=True)
class ChainOutput:
    """What the network says of a batch."""

    logits: Floats
    """shape = (B, M)"""
    decisions: Floats
    """shape = (B, 3, M), logits of audio, visual and text alone"""
    weights: Floats
    """shape = (B, 3), how much each of them counts; 0 for one that the bundle does not use"""
    notes: tuple[str | None, ...]
    """Per clip: that its text was cut to the encoder's limit, or None."""
    timings_ms: dict[str, float]
    """Wall time of ``tokenize``, ``text``, ``audio``, ``visual`` and ``fusion`` for the batch, as
    far as the bundle has the graph."""
    engine: str
    """What the graphs that ran say ran them."""


@dataclass
class Stopwatch:
    """Adds up wall time per stage."""

    timings_ms: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = (time.perf_counter() - start) * 1e3
            self.timings_ms[stage] = self.timings_ms.get(stage, 0.0) + spent


class Chain:
    """The graphs of a bundle, one after the other: text, audio, visual, as far as it has them, and
    fusion.

    Args:
        bundle: verified.
        graphs: its graphs, loaded, by name.
        texts: tokenizer and stand-in for missing text; None without a text graph.
    """

    def __init__(
        self, bundle: Bundle, graphs: Mapping[str, LoadedGraph], texts: TextSide | None
    ) -> None:
        self._graphs = graphs
        self._texts = texts
        manifest = bundle.manifest
        self._inputs = {
            name: [tensor.name for tensor in spec.inputs] for name, spec in manifest.graphs.items()
        }
        self._sizes = {"audio": manifest.audio_size, "visual": manifest.visual_size}
        ranges = manifest.shape_ranges
        # A bundle of the text alone has no segments; a clip may then be as long as it likes.
        self._segments: ShapeRange | None = ranges.get("segments")
        self._clip_segments = ranges.get("clip_segments", self._segments)
        self.max_batch = ranges["batch"].maximum
        """Clips that one run takes."""

    def run(self, clips: Sequence[Clip]) -> ChainOutput:
        """Run the network on 1 to ``max_batch`` clips.

        Raises:
            MerEdgeError: a clip is longer than the bundle takes, the engine failed, or the outputs
                are not finite.
        """
        self._check(clips)
        watch = Stopwatch()
        text, notes = self._text(clips, watch)
        feeds: Tensors = {"text": text.vectors, "text_mask": text.present}
        masks: dict[str, list[NDArray[np.bool_]]] = {
            "audio": [clip.audio_present for clip in clips],
            "visual": [clip.face_present for clip in clips],
        }
        signals: dict[str, list[NDArray[Any]]] = {
            "audio": [clip.waveform for clip in clips],
            "visual": [clip.faces for clip in clips],
        }
        for graph in ENCODERS:
            if graph in self._graphs:
                with watch.time(graph):
                    mask = _padded(masks[graph])
                    present = [x[m] for x, m in zip(signals[graph], masks[graph], strict=True)]
                    feeds[graph] = self._encode(graph, present, mask, text)
                    feeds[f"{graph}_mask"] = mask
        with watch.time("fusion"):
            fused = self._graphs["fusion"].run(
                {name: feeds[name] for name in self._inputs["fusion"]}
            )
        _check_finite(fused, clips)
        ran = ["fusion"] + ["text"] * bool(text.present.any())
        ran += [name for name in ENCODERS if name in feeds and feeds[f"{name}_mask"].any()]
        return ChainOutput(
            logits=fused["logits"],
            decisions=fused["decisions"],
            weights=fused["weights"],
            notes=notes,
            timings_ms=watch.timings_ms,
            engine=" + ".join(dict.fromkeys(self._graphs[name].engine for name in ran)),
        )

    def _text(
        self, clips: Sequence[Clip], watch: Stopwatch
    ) -> tuple[EncodedText, tuple[str | None, ...]]:
        """What is known of the clips' texts, and per clip what must be said of its text."""
        if self._texts is None:
            return EncodedText.nothing(len(clips)), (None,) * len(clips)
        with watch.time("tokenize"):
            batch = self._texts.tokenize(clips)
        with watch.time("text"):
            return self._texts.encode(batch, self._graphs["text"]), batch.notes

    def _check(self, clips: Sequence[Clip]) -> None:
        if not 1 <= len(clips) <= self.max_batch:
            raise MerEdgeError(f"{len(clips)} clips at once; expected 1 to {self.max_batch}")
        if self._clip_segments is None:
            return
        for clip in clips:
            if clip.segments > self._clip_segments.maximum:
                most = self._clip_segments.maximum
                raise MerEdgeError(
                    f"{clip.source or 'clip'}: {clip.segments} segments "
                    f"({clip.segments * SEGMENT_S:.1f} s); the bundle takes at most {most} "
                    f"({most * SEGMENT_S:.1f} s) a clip; cut it into shorter utterances"
                )

    def _encode(
        self,
        graph: str,
        present: Sequence[NDArray[Any]],
        mask: NDArray[np.bool_],
        text: EncodedText,
    ) -> Floats:
        """Features of the present segments, zeros elsewhere; shape = (B, N, size).

        Args:
            present: per clip its present segments, in time order.
            mask: shape = (B, N), true for these.
        """
        features = np.zeros((*mask.shape, self._sizes[graph]), np.float32)
        clip_of, segment_of = np.nonzero(mask)
        if len(clip_of) == 0:
            return features
        assert self._segments is not None  # Bundle.load wants it of whoever has an encoder
        signals, signal, most = np.concatenate(present), ENCODERS[graph], self._segments.maximum
        for start in range(0, len(signals), most):
            part = slice(start, start + most)
            feeds = {signal: signals[part]}
            for name in self._inputs[graph]:
                if name != signal:
                    feeds[name] = text.guide(name)[clip_of[part]]
            features[clip_of[part], segment_of[part]] = self._graphs[graph].run(feeds)[graph]
        return features


def _padded(masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Masks of different lengths as one, shape = (B, N), false beyond each clip's end."""
    padded = np.zeros((len(masks), max(len(mask) for mask in masks)), np.bool_)
    for row, mask in zip(padded, masks, strict=True):
        row[: len(mask)] = mask
    return padded


def _check_finite(fused: Tensors, clips: Sequence[Clip]) -> None:
    for row, clip in enumerate(clips):
        for name in ("logits", "decisions", "weights"):
            if not np.isfinite(fused[name][row]).all():
                raise MerEdgeError(
                    f"{clip.source or 'clip'}: the network's {name} are not finite; the bundle's "
                    "weights or its precision are broken; export it again"
                )
