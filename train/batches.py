"""From prepared clips to batches: draw a frame per segment, pad, mask, hide modalities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mer_edge.model.mer import ModelBatch
from mer_edge.segments import FACE_SIZE_PX, SEGMENT_SAMPLES
from train.prepared import read_clip


@dataclass(frozen=True, eq=False)
class LabelledClip:
    """A clip of a split: where it is prepared, its words as numbers, its truth."""

    file: Path
    input_ids: NDArray[np.int64]
    """shape = (L,); empty without text."""
    targets: NDArray[np.bool_]
    """shape = (labels,)"""


@dataclass(frozen=True, eq=False)
class Example:
    """One clip as the model gets it, with one crop per segment, before padding."""

    input_ids: NDArray[np.int64]
    """shape = (L,); empty without text."""
    waveform: NDArray[np.float32]
    """shape = (S, 15600)"""
    faces: NDArray[np.uint8]
    """shape = (S, 224, 224, 3)"""
    audio_present: NDArray[np.bool_]
    """shape = (S,)"""
    face_present: NDArray[np.bool_]
    """shape = (S,)"""
    targets: NDArray[np.bool_]
    """shape = (labels,)"""


def training_batches(
    clips: Sequence[LabelledClip],
    batch_size: int,
    modality_dropout: float,
    rng: np.random.Generator,
) -> Iterator[tuple[ModelBatch, torch.Tensor]]:
    """One epoch in a random order with a random frame per segment; see :func:`collate`."""
    for batch, targets in _batches(clips, rng.permutation(len(clips)), batch_size, rng):
        hide_modalities(batch, modality_dropout, rng)
        yield batch, targets


def validation_batches(
    clips: Sequence[LabelledClip], batch_size: int
) -> Iterator[tuple[ModelBatch, torch.Tensor]]:
    """The clips in their order with the middle frame of each segment, as at inference."""
    yield from _batches(clips, np.arange(len(clips)), batch_size, None)


def _batches(
    clips: Sequence[LabelledClip],
    order: NDArray[np.int64],
    batch_size: int,
    rng: np.random.Generator | None,
) -> Iterator[tuple[ModelBatch, torch.Tensor]]:
    # One batch is decoded while the model works on the one before it.
    with ThreadPoolExecutor(1) as pool:
        pending = None
        for start in range(0, len(order), batch_size):
            chosen = [clips[i] for i in order[start : start + batch_size]]
            seed = None if rng is None else int(rng.integers(2**63))
            upcoming = pool.submit(_load_batch, chosen, seed)
            if pending is not None:
                yield pending.result()
            pending = upcoming
        if pending is not None:
            yield pending.result()


def _load_batch(clips: Sequence[LabelledClip], seed: int | None) -> tuple[ModelBatch, torch.Tensor]:
    rng = None if seed is None else np.random.default_rng(seed)
    return collate([_load_example(clip, rng) for clip in clips])


def _load_example(clip: LabelledClip, rng: np.random.Generator | None) -> Example:
    stored = read_clip(clip.file)
    frames = draw_frames(stored.crops_present, rng)
    return Example(
        input_ids=clip.input_ids,
        waveform=stored.waveform,
        faces=stored.faces(frames),
        audio_present=stored.audio_present,
        face_present=stored.crops_present[np.arange(stored.segments), frames],
        targets=clip.targets,
    )


def draw_frames(
    crops_present: NDArray[np.bool_], rng: np.random.Generator | None
) -> NDArray[np.int64]:
    """Which of the K crops of each segment to use, from (S, K) flags; shape = (S,).

    With ``rng`` a random one of those with a face (paper, section 3.1), without it the middle
    one, face or not, as inference does.
    """
    segments, per_segment = crops_present.shape
    middle = np.full(segments, per_segment // 2, np.int64)
    if rng is None:
        return middle
    chances = rng.random(crops_present.shape)
    chances[~crops_present] = -1
    return np.where(crops_present.any(axis=1), chances.argmax(axis=1), middle)


def collate(examples: Sequence[Example]) -> tuple[ModelBatch, torch.Tensor]:
    """Pad clips of different lengths with zeros to one batch of N segments and L tokens.

    Returns:
        The batch, whose masks are False on padding and on what a clip lacks, and the targets,
        float32 (B, labels). A clip without text keeps one attended token, whose result the
        model ignores by ``text_mask``: attention over nothing is NaN.
    """
    count = len(examples)
    segments = max(len(e.waveform) for e in examples)
    tokens = max(1, *(len(e.input_ids) for e in examples))
    batch = ModelBatch(
        input_ids=torch.zeros(count, tokens, dtype=torch.int64),
        attention_mask=torch.zeros(count, tokens, dtype=torch.int64),
        waveform=torch.zeros(count, segments, SEGMENT_SAMPLES),
        faces=torch.zeros(count, segments, FACE_SIZE_PX, FACE_SIZE_PX, 3, dtype=torch.uint8),
        audio_mask=torch.zeros(count, segments, dtype=torch.bool),
        visual_mask=torch.zeros(count, segments, dtype=torch.bool),
        text_mask=torch.zeros(count, dtype=torch.bool),
    )
    for row, example in enumerate(examples):
        length, words = len(example.waveform), len(example.input_ids)
        batch.input_ids[row, :words] = torch.from_numpy(example.input_ids)
        batch.attention_mask[row, : max(1, words)] = 1
        batch.waveform[row, :length] = torch.from_numpy(example.waveform)
        batch.faces[row, :length] = torch.from_numpy(example.faces)
        batch.audio_mask[row, :length] = torch.from_numpy(example.audio_present)
        batch.visual_mask[row, :length] = torch.from_numpy(example.face_present)
        batch.text_mask[row] = words > 0
    targets = np.stack([example.targets for example in examples]).astype(np.float32)
    return batch, torch.from_numpy(targets)


def hide_modalities(batch: ModelBatch, probability: float, rng: np.random.Generator) -> None:
    """Mask each clip's modalities, in place, each with ``probability``.

    A clip always keeps one of those it has, chosen at random where all would go: a clip without
    anything has nothing to learn from.
    """
    present = torch.stack(
        [batch.audio_mask.any(1), batch.visual_mask.any(1), batch.text_mask], dim=1
    ).numpy()
    chances = rng.random(present.shape)
    keep = present & (chances >= probability)
    luckiest = np.where(present, chances, -1).argmax(axis=1)
    keep[np.arange(len(keep)), luckiest] |= present.any(axis=1)
    kept = torch.from_numpy(keep)
    batch.audio_mask &= kept[:, 0, None]
    batch.visual_mask &= kept[:, 1, None]
    batch.text_mask &= kept[:, 2]
