"""Whether a face that was found can be read: how large it is in its source, and how sharp."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_edge.evidence import Evidence
from mer_edge.faces.align import TEMPLATE, align, similarity
from mer_edge.faces.face import Face
from mer_edge.faces.track import SeenFace

WIDTH_IN_EYE_DISTANCES = 2.0
"""A face is about twice as wide as its eyes are apart."""
SIDE_PX = 56
"""Sharpness is measured on the crop at this size, in which a face is about 28 px wide: detail that
is finer than that is not asked for."""
FACE_ROWS, FACE_COLUMNS = slice(14, 48), slice(12, 44)
"""Brows to chin and cheek to cheek in the crop of that size; little of it lies outside the face."""


def face_px(points: NDArray[np.floating]) -> float:
    """How wide a face is in its source, in pixels, by the scale at which it was aligned.

    Args:
        points: shape = (5, 2), px, in the order of ``Face.points``.
    """
    transform = similarity(np.asarray(points, np.float64), TEMPLATE)
    if transform is None:
        return 0.0
    crop_px_per_px = float(np.hypot(transform[0, 0], transform[1, 0]))
    eyes_px = float(TEMPLATE[1, 0] - TEMPLATE[0, 0]) / crop_px_per_px
    return WIDTH_IN_EYE_DISTANCES * eyes_px


def sharpness(crop: NDArray[np.uint8]) -> float:
    """How much of a face's contrast is fine detail, whatever its size and light; 0: none.

    Variance of the Laplacian over the variance of the grey values, of the face at ``SIDE_PX``.

    Args:
        crop: shape = (224, 224, 3), aligned.
    """
    small = cv2.resize(crop, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    detail = cv2.Laplacian(grey, cv2.CV_32F)[FACE_ROWS, FACE_COLUMNS]
    contrast = float(grey[FACE_ROWS, FACE_COLUMNS].var())
    return float(detail.var()) / contrast if contrast > 1.0 else 0.0


def is_readable(face: Face, crop: NDArray[np.uint8], evidence: Evidence) -> bool:
    """Whether a face is large and sharp enough to have a say."""
    least_px, least_sharpness = evidence.min_face_px, evidence.min_face_sharpness
    if least_px is not None and face_px(face.points) < least_px:
        return False
    return least_sharpness is None or sharpness(crop) >= least_sharpness


def see(frame_rgb: NDArray[np.uint8], face: Face, evidence: Evidence | None) -> SeenFace | None:
    """A face of a frame with its aligned crop; None where its points are no face.

    Args:
        frame_rgb: shape = (H, W, 3), the full frame.
        evidence: what it needs to be readable; None: nothing.
    """
    crop = align(frame_rgb, face.points)
    if crop is None:
        return None
    return SeenFace(face, crop, evidence is None or is_readable(face, crop, evidence))
