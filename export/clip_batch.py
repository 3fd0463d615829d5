"""Real clips as what the network takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from mer_edge.clip import Clip
from mer_edge.model.mer import ModelBatch
from mer_edge.segments import FACE_SIZE_PX, SEGMENT_SAMPLES
from mer_edge.text.tokenizer import TextTokenizer


def batch_of(clips: Sequence[Clip], tokenizer: TextTokenizer | None) -> ModelBatch:
    """Pad ``clips`` to the longest of them.

    Args:
        tokenizer: the text encoder's; None of a network without one, which sees no text.
    """
    count, segments = len(clips), max(clip.segments for clip in clips)
    words = [
        tokenizer.encode(clip.text).input_ids[0] if tokenizer and clip.text else None
        for clip in clips
    ]
    length = max([2, *(len(ids) for ids in words if ids is not None)])
    input_ids = np.zeros((count, length), np.int64)
    attention_mask = np.zeros((count, length), np.int64)
    attention_mask[:, 0] = 1  # where there is no text nobody reads it; no row is empty
    waveform = np.zeros((count, segments, SEGMENT_SAMPLES), np.float32)
    faces = np.zeros((count, segments, FACE_SIZE_PX, FACE_SIZE_PX, 3), np.uint8)
    audio_mask = np.zeros((count, segments), np.bool_)
    visual_mask = np.zeros((count, segments), np.bool_)
    for row, (clip, ids) in enumerate(zip(clips, words, strict=True)):
        if ids is not None:
            input_ids[row, : len(ids)] = ids
            attention_mask[row, : len(ids)] = 1
        waveform[row, : clip.segments] = clip.waveform
        faces[row, : clip.segments] = clip.faces
        audio_mask[row, : clip.segments] = clip.audio_present
        visual_mask[row, : clip.segments] = clip.face_present
    arrays = (input_ids, attention_mask, waveform, faces, audio_mask, visual_mask)
    text_mask = np.array([ids is not None for ids in words])
    return ModelBatch(*map(torch.from_numpy, (*arrays, text_mask)))
