"""Media files with a face that the real detector finds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_edge.doctor.drawn_face import draw_face
from tests.media_files import Picture, Voice, write_media

RATE_HZ = 10.0


def drawn(number: int, time_s: float, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The drawn face in the middle, a little larger with every frame."""
    width, height = size
    side = min(height, round(height * (0.8 + 0.005 * number)))
    picture = np.full((height, width, 3), 90, np.uint8)
    top, left = (height - side) // 2, (width - side) // 2
    face = cv2.resize(draw_face(), (side, side))
    picture[top : top + side, left : left + side] = face
    return picture


def face_video(path: Path, duration_s: float = 2.0, *, sound: bool = True) -> Path:
    """An mp4 with the drawn face and a tone."""
    picture = Picture(
        size=(320, 240), frames=round(duration_s * RATE_HZ), rate_hz=RATE_HZ, draw=drawn
    )
    return write_media(path, picture, Voice(duration_s=duration_s) if sound else None)


def tone_wav(path: Path, duration_s: float = 1.0) -> Path:
    """A wav file with a tone and nothing else."""
    voice = Voice("pcm_s16le", 16_000, duration_s=duration_s)
    return write_media(path, voice=voice)
