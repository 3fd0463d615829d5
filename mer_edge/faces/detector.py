"""Which detector, and on how large a frame."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_edge.faces.face import Face, FaceDetector, rgb_frame

DETECTION_SIDE_PX = 640
"""The longer side of the frame that the detector sees; crops come from the full frame."""


def open_detector(yunet: Path | None = None) -> FaceDetector:
    """MTCNN on ONNX Runtime, or the user's own YuNet file on OpenCV.

    Raises:
        MissingExtraError: MTCNN is wanted and onnxruntime is not installed.
        MerEdgeError: ``yunet`` is missing or not a YuNet model.
    """
    if yunet is not None:
        from mer_edge.faces.yunet import YuNetDetector

        return YuNetDetector(yunet)
    from mer_edge.faces.mtcnn import MtcnnDetector

    return MtcnnDetector()


def detect_downscaled(
    detector: FaceDetector, frame_rgb: NDArray[np.uint8], max_side_px: int = DETECTION_SIDE_PX
) -> list[Face]:
    """Faces of ``frame_rgb`` (H, W, 3), in its own pixels, found in a copy of at most that size."""
    small = downscaled(frame_rgb, max_side_px)
    return to_frame(detector.detect(small), small, frame_rgb)


def downscaled(
    frame_rgb: NDArray[np.uint8], max_side_px: int = DETECTION_SIDE_PX
) -> NDArray[np.uint8]:
    """``frame_rgb`` (H, W, 3), made smaller if its longer side is over ``max_side_px``."""
    frame_rgb = rgb_frame(frame_rgb)
    height, width = frame_rgb.shape[:2]
    scale = max_side_px / max(height, width)
    if scale >= 1:
        return frame_rgb
    sides = max(1, round(width * scale)), max(1, round(height * scale))
    small: NDArray[np.uint8] = cv2.resize(frame_rgb, sides, interpolation=cv2.INTER_AREA)
    return small


def to_frame(
    faces: list[Face], small: NDArray[np.uint8], frame_rgb: NDArray[np.uint8]
) -> list[Face]:
    """Faces of the downscaled frame ``small`` in the pixels of ``frame_rgb``."""
    height, width = frame_rgb.shape[:2]
    small_height, small_width = small.shape[:2]
    if (small_height, small_width) == (height, width):
        return faces
    return [face.scaled(width / small_width, height / small_height) for face in faces]
