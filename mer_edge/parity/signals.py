"""Sound and faces from a seed, the same bits on every machine: golden tensors need not carry them.

The bits are SHAKE-128's (FIPS 202) of the seed; all arithmetic on them is exact.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from mer_edge.segments import FACE_SIZE_PX, SEGMENT_SAMPLES

BLOCK_PX = 8
"""Faces are squares of one colour each, because pictures vary slowly."""
QUIETEST_BITS = 7
"""The quietest segments are 2^-7 of full scale."""


def waveforms(seed: int, count: int) -> NDArray[np.float32]:
    """Noise in [-1, 1), each segment of another loudness; shape = (count, 15600)."""
    samples = np.frombuffer(_bits(seed, "sound", 2 * count * SEGMENT_SAMPLES), "<i2")
    loudness = np.frombuffer(_bits(seed, "loudness", count), np.uint8) % (QUIETEST_BITS + 1)
    scale = np.ldexp(np.float32(1), -15 - loudness.astype(np.int32))
    scaled = samples.reshape(count, SEGMENT_SAMPLES).astype(np.float32) * scale[:, None]
    return np.asarray(scaled, dtype=np.float32)


def faces(seed: int, count: int) -> NDArray[np.uint8]:
    """Coloured squares; shape = (count, 224, 224, 3)."""
    blocks = FACE_SIZE_PX // BLOCK_PX
    colours = np.frombuffer(_bits(seed, "faces", count * blocks * blocks * 3), np.uint8)
    squares = colours.reshape(count, blocks, blocks, 3)
    return squares.repeat(BLOCK_PX, axis=1).repeat(BLOCK_PX, axis=2)


def _bits(seed: int, what: str, size: int) -> bytes:
    return hashlib.shake_128(f"mer-edge {what} {seed}".encode()).digest(size)
