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
from runtime.texts import EncodedText, Texts

Floats = NDArray[np.float32]
Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class ChainOutput:
    """What the network says of a batch."""

    logits: Floats
    """shape = (B, M)"""
    decisions: Floats
    """shape = (B, 3, M), logits of audio, visual and text alone"""
    weights: Floats
    """shape = (B, 3), how much each of them counts"""
    notes: tuple[str | None, ...]
    """Per clip: that its text was cut to the encoder's limit, or None."""
    timings_ms: dict[str, float]
    """Wall time of ``tokenize``, ``text``, ``audio``, ``visual`` and ``fusion`` for the batch."""
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
    """The four graphs of a bundle, one after the other.

    Args:
        bundle: verified.
        graphs: its graphs, loaded, by name.
        texts: tokenizer and stand-in for missing text.
    """

    def __init__(self, bundle: Bundle, graphs: Mapping[str, LoadedGraph], texts: Texts) -> None:
        self._graphs = graphs
        self._texts = texts
        manifest = bundle.manifest
        self._inputs = {
            name: [tensor.name for tensor in spec.inputs] for name, spec in manifest.graphs.items()
        }
        self._sizes = {"audio": manifest.audio_size, "visual": manifest.visual_size}
        ranges = manifest.shape_ranges
        self._max_run_segments = ranges["segments"].maximum
        self._clip_segments: ShapeRange = ranges.get("clip_segments", ranges["segments"])
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
        with watch.time("tokenize"):
            token_batch = self._texts.tokenize(clips)
        with watch.time("text"):
            text = self._texts.encode(token_batch, self._graphs["text"])
        with watch.time("audio"):
            audio_mask = _padded([clip.audio_present for clip in clips])
            waveforms = [clip.waveform[clip.audio_present] for clip in clips]
            audio = self._encode("audio", "waveform", waveforms, audio_mask, text)
        with watch.time("visual"):
            visual_mask = _padded([clip.face_present for clip in clips])
            faces = [clip.faces[clip.face_present] for clip in clips]
            visual = self._encode("visual", "faces", faces, visual_mask, text)
        with watch.time("fusion"):
            feeds = {"audio": audio, "visual": visual, "text": text.vectors}
            masks = {"audio_mask": audio_mask, "visual_mask": visual_mask}
            fused = self._graphs["fusion"].run({**feeds, **masks, "text_mask": text.present})
        _check_finite(fused, clips)
        ran = ["fusion"]
        ran += ["text"] * bool(text.present.any())
        ran += ["audio"] * bool(audio_mask.any()) + ["visual"] * bool(visual_mask.any())
        return ChainOutput(
            logits=fused["logits"],
            decisions=fused["decisions"],
            weights=fused["weights"],
            notes=token_batch.notes,
            timings_ms=watch.timings_ms,
            engine=" + ".join(dict.fromkeys(self._graphs[name].engine for name in ran)),
        )

    def _check(self, clips: Sequence[Clip]) -> None:
        if not 1 <= len(clips) <= self.max_batch:
            raise MerEdgeError(f"{len(clips)} clips at once; expected 1 to {self.max_batch}")
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
        signal: str,
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
        signals = np.concatenate(present)
        for start in range(0, len(signals), self._max_run_segments):
            part = slice(start, start + self._max_run_segments)
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
