"""From clips to the network's outputs: text first, then the encoders, then fusion.

The graphs are told to run one after the other. An engine with a device runs them beside each other
as far as their inputs allow; on the CPU they take turns with all threads, which two cores answer
sooner than graphs side by side with a thread each (docs/runtime.md has the figures). Only what is
present runs. Letters: B clips, N segments of the longest clip, S present segments of all clips
together, M labels.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_edge.bundle import FUSED, MAPS, STEMS, Bundle, ShapeRange
from mer_edge.clip import Clip
from mer_edge.errors import MerEdgeError
from mer_edge.segments import SEGMENT_S
from runtime.arrays import HOST, Array, ArrayOps
from runtime.backend import LoadedGraph
from runtime.texts import EncodedText, TextSide

Floats = NDArray[np.float32]
SIGNALS = {"audio": "waveform", "visual": "faces"}
"""The encoders in the order they run, and what they take of a clip."""


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
    """Wall time of ``tokenize``, ``text``, ``audio``, ``visual`` (its stem included) and ``fusion``
    for the batch, as far as the bundle has the graph."""
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
    """The graphs of a bundle: text, what of the encoders needs no text, the encoders, and fusion,
    as far as it has them.

    Args:
        bundle: verified.
        graphs: its graphs, loaded, by name.
        texts: tokenizer and stand-in for missing text; None without a text graph.
        arrays: what moves rows between the graphs; of the backend that loaded them.
    """

    def __init__(
        self,
        bundle: Bundle,
        graphs: Mapping[str, LoadedGraph],
        texts: TextSide | None,
        arrays: ArrayOps = HOST,
    ) -> None:
        self._graphs = graphs
        self._texts = texts
        self._arrays = arrays
        manifest = bundle.manifest
        self._inputs = {
            name: [tensor.name for tensor in spec.inputs] for name, spec in manifest.graphs.items()
        }
        self._stems = {name: stem for name, stem in STEMS.items() if stem in graphs}
        self._sizes = {"audio": manifest.audio_size, "visual": manifest.visual_size}
        ranges = manifest.shape_ranges
        # A bundle of the text alone has no segments; a clip may then be as long as it likes.
        segments: ShapeRange | None = ranges.get("segments")
        self._clip_segments = ranges.get("clip_segments", segments)
        self.segments_a_run = dict.fromkeys(SIGNALS, segments.maximum if segments else 0)
        """Segments of ``audio`` and ``visual`` that one run gets; 0 for a bundle of the text
        alone."""
        self.max_batch = ranges["batch"].maximum
        """Clips that one run takes."""
        self.encoders = tuple(name for name in SIGNALS if name in graphs)
        """``audio`` and ``visual``, as far as the bundle has them, in the order they run."""

    def run(self, clips: Sequence[Clip]) -> ChainOutput:
        """Run the network on 1 to ``max_batch`` clips.

        Raises:
            MerEdgeError: a clip is longer than the bundle takes, the engine failed, or the outputs
                are not finite.
        """
        self._check(clips)
        watch = Stopwatch()
        masks = {
            name: _padded([present_of(clip, name) for clip in clips]) for name in self.encoders
        }
        text = self.encode_texts(clips, watch)
        features: dict[str, Array] = {}
        for name, mask in masks.items():
            with watch.time(name):
                signals = [_present(clip, name) for clip in clips]
                prepared = self.prepare_segments(name, _joined(signals))
                rows = self.encode_segments(name, prepared, text, np.nonzero(mask)[0])
                features[name] = self.place(name, rows, mask)
        with watch.time("fusion"):
            output = self.fuse(features, masks, text, [clip.source for clip in clips])
        return replace(output, timings_ms=watch.timings_ms)

    def encode_texts(self, clips: Sequence[Clip], watch: Stopwatch | None = None) -> EncodedText:
        """What the other graphs get to know of the clips' texts.

        Raises:
            MerEdgeError: a text is empty, or the engine failed.
        """
        if self._texts is None:
            return EncodedText.nothing(len(clips))
        watch = watch or Stopwatch()
        with watch.time("tokenize"):
            batch = self._texts.tokenize(clips)
        with watch.time("text"):
            return self._texts.encode(batch, self._graphs["text"])

    def prepare_segments(self, encoder: str, signals: NDArray[Any]) -> list[Array]:
        """What can be done to segments before their text is known: keep it while the text changes.

        Args:
            encoder: ``audio`` or ``visual``.
            signals: waveforms (S, 15600) float32 or faces (S, 224, 224, 3) uint8; S may be 0.

        Returns:
            Parts for ``encode_segments``, of any make; together S rows.
        """
        parts = [signals[rows] for rows in self._parts(encoder, len(signals))]
        stem = self._stems.get(encoder)
        if stem is None:
            return list(parts)
        given = MAPS[encoder]
        return [self._graphs[stem].run({SIGNALS[encoder]: part})[given] for part in parts]

    def encode_segments(
        self, encoder: str, prepared: Sequence[Array], text: EncodedText, clip_of: NDArray[np.intp]
    ) -> list[Array]:
        """Features of segments, guided by the texts of their clips.

        Args:
            prepared: from ``prepare_segments``; each part within the bundle's range of segments.
            clip_of: shape = (S,), the row of each segment's clip in ``text``.

        Returns:
            Parts, together (S, size) float32.
        """
        taken = MAPS[encoder] if encoder in self._stems else SIGNALS[encoder]
        guides = [name for name in self._inputs[encoder] if name != taken]
        features = []
        start = 0
        for part in prepared:
            rows = clip_of[start : start + part.shape[0]]
            start += part.shape[0]
            feeds = {taken: part}
            feeds |= {name: self._arrays.take(text.guide(name), rows) for name in guides}
            features.append(self._graphs[encoder].run(feeds)[encoder])
        return features

    def place(self, encoder: str, rows: Sequence[Array], mask: NDArray[np.bool_]) -> Array:
        """Features where a segment is present, zeros elsewhere; shape = (B, N, size).

        Args:
            rows: from ``encode_segments``.
            mask: shape = (B, N), as many true entries as there are rows, in their order.
        """
        if not rows:
            return np.zeros((*mask.shape, self._sizes[encoder]), np.float32)
        return self._arrays.place(rows, mask)

    def fuse(
        self,
        features: Mapping[str, Array],
        masks: Mapping[str, NDArray[np.bool_]],
        text: EncodedText,
        sources: Sequence[str] = (),
    ) -> ChainOutput:
        """The decision on B clips from their features.

        Args:
            features: per encoder (B, N, size), zeros where there is no segment.
            masks: per encoder (B, N).
            text: of the B clips.
            sources: names for messages, one a clip.

        Raises:
            MerEdgeError: the engine failed, or the outputs are not finite.
        """
        feeds: dict[str, Array] = {"text": text.vectors, "text_mask": text.present, **features}
        feeds |= {f"{name}_mask": mask for name, mask in masks.items()}
        given = self._graphs["fusion"].run({name: feeds[name] for name in self._inputs["fusion"]})
        fused = {name: self._arrays.to_host(given[name]) for name in FUSED}
        _check_finite(fused, sources)
        return ChainOutput(
            logits=fused["logits"],
            decisions=fused["decisions"],
            weights=fused["weights"],
            notes=text.notes,
            timings_ms={},
            engine=self._engines(masks, text),
        )

    def _engines(self, masks: Mapping[str, NDArray[np.bool_]], text: EncodedText) -> str:
        ran = ["fusion"] + ["text"] * bool(text.present.any())
        encoders = [name for name, mask in masks.items() if mask.any()]
        ran += [*encoders, *(self._stems[name] for name in encoders if name in self._stems)]
        return " + ".join(dict.fromkeys(self._graphs[name].engine for name in ran))

    def take_fewer(self, most: Mapping[str, int]) -> None:
        """Give a run of an encoder no more segments than ``most`` says."""
        for encoder, taken in self.segments_a_run.items():
            self.segments_a_run[encoder] = min(taken, most[encoder])

    def _parts(self, encoder: str, segments: int) -> list[slice]:
        """As many segments at once as one run gets."""
        if not segments:
            return []
        most = self.segments_a_run[encoder]
        return [slice(start, start + most) for start in range(0, segments, most)]

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


def present_of(clip: Clip, encoder: str) -> NDArray[np.bool_]:
    """Which segments ``audio`` or ``visual`` has something of; shape = (S,)."""
    return clip.audio_present if encoder == "audio" else clip.face_present


def _present(clip: Clip, encoder: str) -> NDArray[Any]:
    """The signals of the clip's present segments, the clip's own array where that is all."""
    signals: NDArray[Any] = clip.waveform if encoder == "audio" else clip.faces
    mask = present_of(clip, encoder)
    return signals if mask.all() else signals[mask]


def _joined(signals: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return signals[0] if len(signals) == 1 else np.concatenate(signals)


def _padded(masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Masks of different lengths as one, shape = (B, N), false beyond each clip's end."""
    padded = np.zeros((len(masks), max(len(mask) for mask in masks)), np.bool_)
    for row, mask in zip(padded, masks, strict=True):
        row[: len(mask)] = mask
    return padded


def _check_finite(fused: Mapping[str, NDArray[Any]], sources: Sequence[str]) -> None:
    if all(np.isfinite(fused[name]).all() for name in FUSED):
        return
    for row in range(len(fused["logits"])):
        for name in FUSED:
            if not np.isfinite(fused[name][row]).all():
                source = sources[row] if row < len(sources) else ""
                raise MerEdgeError(
                    f"{source or 'clip'}: the network's {name} are not finite; the bundle's "
                    "weights or its precision are broken; export it again"
                )
