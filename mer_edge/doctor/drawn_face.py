"""A drawing of a face, for trying a detector where there is no picture at hand."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE_PX = 240
BACKGROUND, SKIN, SHADE, LIPS = (96, 112, 128), (214, 170, 140), (170, 120, 100), (160, 70, 70)
HAIR, WHITE, IRIS = (70, 50, 40), (250, 250, 250), (50, 35, 30)


def draw_face() -> NDArray[np.uint8]:
    """A face from the front: hair, brows, eyes, nose and mouth; RGB, shape = (240, 240, 3)."""
    picture = np.full((SIDE_PX, SIDE_PX, 3), BACKGROUND, np.uint8)
    cv2.ellipse(picture, (120, 120), (62, 82), 0, 0, 360, SKIN, -1)
    cv2.ellipse(picture, (120, 62), (64, 40), 0, 180, 360, HAIR, -1)
    for x in (95, 145):
        cv2.ellipse(picture, (x, 105), (13, 7), 0, 0, 360, WHITE, -1)
        cv2.circle(picture, (x, 105), 6, IRIS, -1)
        cv2.ellipse(picture, (x, 90), (16, 5), 0, 180, 360, HAIR, 4)
    cv2.line(picture, (120, 110), (116, 138), SHADE, 3)
    cv2.ellipse(picture, (120, 135), (9, 12), 0, 20, 160, SHADE, 3)
    cv2.ellipse(picture, (120, 165), (24, 9), 0, 0, 180, LIPS, -1)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 2.0), np.uint8)
