"""What is kept of a clip that was made once with the device's own code, for every epoch."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_edge.clip import PreparedClip, text_clip
from mer_edge.segments import FACE_SIZE_PX


@dataclass(frozen=True, eq=False)
class StoredClip:
    """What the store holds of one clip of S segments with K crops each, without loss."""

    waveform: NDArray[np.float32]
    """shape = (S, 15600)"""
    audio_present: NDArray[np.bool_]
    """shape = (S,)"""
    crops_present: NDArray[np.bool_]
    """shape = (S, K)"""
    png: NDArray[np.uint8]
    """The crops that are present, one PNG after the other, in segment and frame order."""
    png_ends: NDArray[np.int64]
    """shape = (S, K): where in ``png`` each crop's file ends; an absent one is empty."""

    @property
    def segments(self) -> int:
        return len(self.waveform)

    def faces(self, frames: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The crop ``frames[i]`` of each segment i: (S, 224, 224, 3) RGB; zeros where absent."""
        faces = np.zeros((self.segments, FACE_SIZE_PX, FACE_SIZE_PX, 3), np.uint8)
        per_segment = self.crops_present.shape[1]
        for segment, frame in enumerate(frames):
            if self.crops_present[segment, frame]:
                place = segment * per_segment + int(frame)
                start = self.png_ends.flat[place - 1] if place else 0
                data = self.png[start : self.png_ends[segment, frame]]
                # The PNG says BGR and holds RGB: written and read alike, so nothing is swapped.
                crop = cv2.imdecode(data, cv2.IMREAD_COLOR)
                assert crop is not None  # encode_clip wrote it
                faces[segment] = crop
        return faces


def text_alone() -> StoredClip:
    """A sample without media: one segment without sound and without a face."""
    return encode_clip(
        PreparedClip(
            text_clip(""),
            crops=np.zeros((1, 1, FACE_SIZE_PX, FACE_SIZE_PX, 3), np.uint8),
            crops_present=np.zeros((1, 1), np.bool_),
        )
    )


def encode_clip(prepared: PreparedClip) -> StoredClip:
    """The clip with its crops as PNG.

    PNG at level 1: of a face of 224 x 224 px lossless WebP is 33 kB and PNG 55 kB, read equally
    fast, but a WebP takes 42 ms to write and a PNG 3, so that preparing would take twice as long.
    """
    encoded = [
        cv2.imencode(".png", crop, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
        for crop in prepared.crops[prepared.crops_present]
    ]
    sizes = np.zeros(prepared.crops_present.shape, np.int64)
    sizes[prepared.crops_present] = [len(data) for data in encoded]
    return StoredClip(
        waveform=prepared.clip.waveform,
        audio_present=prepared.clip.audio_present,
        crops_present=prepared.crops_present,
        png=np.concatenate([np.zeros(0, np.uint8), *encoded]),
        png_ends=sizes.cumsum().reshape(sizes.shape),
    )
