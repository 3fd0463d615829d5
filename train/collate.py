"""Clips of different lengths and lacks as one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer_edge.model.batch import ModelBatch
from mer_edge.segments import FACE_SIZE_PX, SEGMENT_SAMPLES
from train.prepared import ClipRef

NO_IDS = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class LabelledClip:
    """A clip of a split: where it is prepared, its words as numbers, its truth."""

    stored: ClipRef | None
    """None: text alone."""
    input_ids: NDArray[np.int64]
    """shape = (L,); empty without text."""
    targets: NDArray[np.bool_]
    """shape = (labels,)"""
    teacher_ids: NDArray[np.int64] | None = None
    """The words in the teacher's numbers (L',), where there is a teacher."""


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
    teacher_ids: NDArray[np.int64] | None = None
    """shape = (L',)"""

    def without(self, hidden: NDArray[np.bool_]) -> Example:
        """The example with ``hidden`` (3,) of audio, visual and text taken away."""
        audio, visual, text = hidden.tolist()
        return replace(
            self,
            audio_present=self.audio_present & (not audio),
            face_present=self.face_present & (not visual),
            input_ids=NO_IDS if text else self.input_ids,
            teacher_ids=NO_IDS if text and self.teacher_ids is not None else self.teacher_ids,
        )

    def with_signals(self, waveform: NDArray[np.float32], faces: NDArray[np.uint8]) -> Example:
        return replace(self, waveform=waveform, faces=faces)


@dataclass(frozen=True, eq=False)
class LabelledBatch:
    """A batch and its truth."""

    inputs: ModelBatch
    targets: Tensor
    """(B, labels) float32"""
    weights: Tensor
    """(B,) float32: 1, or 0 for a clip that only stands in"""
    teacher_ids: Tensor | None = None
    """(B, L') int64: the same words for the teacher"""
    teacher_attention_mask: Tensor | None = None
    """(B, L') int64"""

    def to(self, device: str) -> LabelledBatch:
        """The batch on ``device``; itself where it is there already."""
        return self._moved(lambda tensor: tensor.to(device, non_blocking=True))

    def pinned(self) -> LabelledBatch:
        """The batch in memory that a GPU fetches by itself."""
        return self._moved(lambda tensor: tensor.pin_memory())

    def _moved(self, move) -> LabelledBatch:  # type: ignore[no-untyped-def]
        inputs = ModelBatch(
            **{field.name: move(getattr(self.inputs, field.name)) for field in fields(self.inputs)}
        )
        return LabelledBatch(
            inputs,
            move(self.targets),
            move(self.weights),
            None if self.teacher_ids is None else move(self.teacher_ids),
            None if self.teacher_attention_mask is None else move(self.teacher_attention_mask),
        )


def collate(examples: Sequence[Example], counts: bool = True) -> LabelledBatch:
    """Pad clips of different lengths with zeros to one batch of N segments and L tokens.

    The masks are False on padding and on what a clip lacks. A clip without text keeps one
    attended token, whose result the model ignores by ``text_mask``: attention over nothing is
    NaN.

    Args:
        counts: False where the clips only stand in: their weights are 0.
    """
    count = len(examples)
    segments = max(len(e.waveform) for e in examples)
    input_ids, attention_mask = _padded_tokens([e.input_ids for e in examples])
    batch = ModelBatch(
        input_ids=input_ids,
        attention_mask=attention_mask,
        waveform=torch.zeros(count, segments, SEGMENT_SAMPLES),
        faces=torch.zeros(count, segments, FACE_SIZE_PX, FACE_SIZE_PX, 3, dtype=torch.uint8),
        audio_mask=torch.zeros(count, segments, dtype=torch.bool),
        visual_mask=torch.zeros(count, segments, dtype=torch.bool),
        text_mask=torch.tensor([len(e.input_ids) > 0 for e in examples]),
    )
    for row, example in enumerate(examples):
        length = len(example.waveform)
        batch.waveform[row, :length] = torch.from_numpy(example.waveform)
        batch.faces[row, :length] = torch.from_numpy(example.faces)
        batch.audio_mask[row, :length] = torch.from_numpy(example.audio_present)
        batch.visual_mask[row, :length] = torch.from_numpy(example.face_present)
    if not counts:
        batch.visual_mask[:] = False  # nor may BatchNorm count their faces
    targets = np.stack([example.targets for example in examples]).astype(np.float32)
    teacher = [e.teacher_ids for e in examples if e.teacher_ids is not None]
    teacher_tokens = _padded_tokens(teacher) if teacher else (None, None)
    weights = torch.full((count,), float(counts))
    return LabelledBatch(batch, torch.from_numpy(targets), weights, *teacher_tokens)


def _padded_tokens(rows: Sequence[NDArray[np.int64]]) -> tuple[Tensor, Tensor]:
    """Ids and attention mask (B, L), at least one token attended in every row."""
    longest = max(1, *(len(row) for row in rows))
    ids = torch.zeros(len(rows), longest, dtype=torch.int64)
    mask = torch.zeros(len(rows), longest, dtype=torch.int64)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.from_numpy(row)
        mask[number, : max(1, len(row))] = 1
    return ids, mask
