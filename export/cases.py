"""The cases parity is measured on: shapes, modality subsets, and the random clips in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import torch
from numpy.typing import NDArray

from mer_edge.model.config import ModelConfig
from mer_edge.model.mer import ModelBatch
from mer_edge.segments import FACE_SIZE_PX, MODALITIES, SEGMENT_SAMPLES

Subset = tuple[str, ...]
"""Some of the modalities."""
SUBSETS: tuple[Subset, ...] = tuple(
    subset for size in (3, 2, 1) for subset in combinations(MODALITIES, size)
)
"""The seven non-empty subsets of the modalities, the whole set first."""


@dataclass(frozen=True, order=True)
class BatchShape:
    """The largest sizes in a batch: its first clip has them, the others are shorter."""

    clips: int
    segments: int
    tokens: int
    """[CLS] and [SEP] included."""


@dataclass(frozen=True)
class Case:
    """One batch to compare on."""

    shape: BatchShape
    present: tuple[Subset, ...]
    """What the clips have: clip i has ``present[i % len(present)]``, less single segments."""

    def __str__(self) -> str:
        shape = self.shape
        present = ", ".join("+".join(subset) for subset in self.present)
        return (
            f"{shape.clips} clip(s) of {shape.segments} segment(s) and {shape.tokens} tokens "
            f"with {present}"
        )

    def has(self, modality: str) -> NDArray[np.bool_]:
        """Which clips have ``modality``; shape = (clips,)."""
        return np.array(
            [modality in self.present[i % len(self.present)] for i in range(self.shape.clips)]
        )


def grid(
    clips: Sequence[int], segments: Sequence[int], tokens: Sequence[int]
) -> tuple[BatchShape, ...]:
    """Every combination of the sizes."""
    return tuple(BatchShape(*sizes) for sizes in product(clips, segments, tokens))


FULL_GRID = grid(clips=(1, 4), segments=(1, 2, 5, 40), tokens=(3, 128))
"""16 shapes; with the 7 subsets 112 cases."""


def gate_cases(config: ModelConfig) -> list[Case]:
    """The random cases every export is measured on before its bundle is let out.

    No shape is the traced one, every dynamic dimension is 1 (or shortest) in one of them, and in
    the last case every clip of a batch has another subset of the modalities that the network
    takes in. The longest text, which is nearly all of the time it takes, comes once.
    """
    max_tokens = config.text.max_position_embeddings
    shapes = (
        BatchShape(clips=1, segments=1, tokens=3),
        BatchShape(clips=3, segments=5, tokens=min(17, max_tokens)),
    )
    subsets = subsets_of(config)
    longest = Case(BatchShape(clips=1, segments=2, tokens=max_tokens), subsets[:1])
    mixed = Case(BatchShape(clips=len(SUBSETS), segments=3, tokens=min(9, max_tokens)), subsets)
    return [*cases_of(shapes, subsets), longest, mixed]


def subsets_of(config: ModelConfig) -> tuple[Subset, ...]:
    """The subsets of what the network takes in, which is more than it fuses where the text is but
    a guide."""
    used = {*config.modalities, *(("text",) if config.uses_text else ())}
    return tuple(subset for subset in SUBSETS if used >= set(subset))


def cases_of(shapes: Sequence[BatchShape], subsets: Sequence[Subset] = SUBSETS) -> Iterator[Case]:
    """Every shape with every subset of the modalities."""
    for shape, subset in product(shapes, subsets):
        yield Case(shape, (subset,))


def make_batch(config: ModelConfig, case: Case, seed: int = 0) -> ModelBatch:
    """Random clips of a case; the same case, configuration and seed give the same clips.

    The clips of a batch are ragged: they get shorter in segments and in tokens, and beyond the
    first segment a present modality may lack a segment. What is absent is zeros, as in a Clip.
    """
    rng = np.random.default_rng([seed, case.shape.clips, case.shape.segments, case.shape.tokens])
    clips, segments, tokens = case.shape.clips, case.shape.segments, case.shape.tokens
    inside = np.arange(segments) < _lengths(clips, segments)[:, None]
    token_mask = np.arange(tokens) < np.maximum(2, _lengths(clips, tokens))[:, None]
    waveform = _waveforms(rng, clips, segments)
    faces = rng.integers(0, 256, (clips, segments, FACE_SIZE_PX, FACE_SIZE_PX, 3), dtype=np.uint8)
    audio_mask = _some_absent(rng, inside) & case.has("audio")[:, None]
    visual_mask = _some_absent(rng, inside) & case.has("visual")[:, None]
    return ModelBatch(
        input_ids=torch.from_numpy(
            rng.integers(0, config.text.vocab_size, (clips, tokens)) * token_mask
        ),
        attention_mask=torch.from_numpy(token_mask.astype(np.int64)),
        waveform=torch.from_numpy(waveform * audio_mask[:, :, None]),
        faces=torch.from_numpy(faces * visual_mask[:, :, None, None, None]),
        audio_mask=torch.from_numpy(audio_mask),
        visual_mask=torch.from_numpy(visual_mask),
        text_mask=torch.from_numpy(case.has("text")),
    )


def _lengths(clips: int, longest: int) -> NDArray[np.int64]:
    """``longest``, then a share less for each further clip, at least 1; shape = (clips,)."""
    return np.maximum(1, longest - np.arange(clips) * max(1, longest // clips))


def _some_absent(rng: np.random.Generator, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """``inside`` without about a fifth of its segments; the first one stays."""
    kept = rng.random(inside.shape) < 0.8
    kept[:, 0] = True
    return inside & kept


def _waveforms(rng: np.random.Generator, clips: int, segments: int) -> NDArray[np.float32]:
    """A tone in noise per segment, from near silence to full scale."""
    seconds = np.arange(SEGMENT_SAMPLES) / 16_000
    pitch_hz = rng.uniform(80, 4000, (clips, segments, 1))
    loudness = 10 ** rng.uniform(-4, 0, (clips, segments, 1))
    noise = rng.uniform(-1, 1, (clips, segments, SEGMENT_SAMPLES))
    tone = np.sin(2 * np.pi * pitch_hz * seconds)
    return np.asarray(loudness * (0.7 * tone + 0.3 * noise), dtype=np.float32)
