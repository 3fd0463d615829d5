"""YuNet (Wu, Peng and Yu, 2023) through OpenCV, with a model file that the user has.

No such file can be had where the project is tested: what is tested is the refusal of other files
and the decoding of a graph with YuNet's outputs (2023mar layout: cls, obj, bbox and kps at strides
8, 16 and 32), not how well the published weights find faces.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_edge.errors import MerEdgeError
from mer_edge.faces.face import Face, rgb_frame

MIN_SCORE = 0.7
NMS_OVERLAP = 0.3
TOP_K = 200


class YuNetDetector:
    """Finds faces with a YuNet ONNX file.

    Raises:
        MerEdgeError: the file is missing, or OpenCV cannot use it as a YuNet.
    """

    name = "yunet"

    def __init__(self, model: Path) -> None:
        if not model.is_file():
            raise MerEdgeError(
                f"{model}: no such file; expected a YuNet model, for example "
                "face_detection_yunet_2023mar.onnx"
            )
        self._model = model
        self._lock = threading.Lock()
        try:
            with _quiet_opencv():
                self._detector = cv2.FaceDetectorYN.create(
                    str(model), "", (32, 32), MIN_SCORE, NMS_OVERLAP, TOP_K
                )
                self._run(np.zeros((32, 32, 3), np.uint8))
        except cv2.error as error:
            raise MerEdgeError(
                f"{model}: OpenCV {cv2.__version__} cannot use it as a YuNet model; expected, for "
                "example, face_detection_yunet_2023mar.onnx; leave --yunet out to use MTCNN"
            ) from error

    def detect(self, frame_rgb: NDArray[np.uint8]) -> list[Face]:
        """Faces of ``frame_rgb`` (H, W, 3), the most confident first.

        Raises:
            MerEdgeError: ``frame_rgb`` is not an 8-bit picture, or the network failed on it.
        """
        try:
            rows = self._run(cv2.cvtColor(rgb_frame(frame_rgb), cv2.COLOR_RGB2BGR))
        except cv2.error as error:
            raise MerEdgeError(
                f"{self._model}: the network failed on a frame of shape {frame_rgb.shape}; "
                "leave --yunet out to use MTCNN"
            ) from error
        return sorted((_face(row) for row in rows), key=lambda face: -face.score)

    def _run(self, frame_bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
        """shape = (faces, 15): x, y, width, height, five points, score."""
        with self._lock:  # the size of one thread's frame must not meet another's frame
            self._detector.setInputSize((frame_bgr.shape[1], frame_bgr.shape[0]))
            _, rows = self._detector.detect(frame_bgr)
        return np.zeros((0, 15), np.float32) if rows is None else rows


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Keep OpenCV from printing what the error says better, and notes on its own engine."""
    log = getattr(cv2.utils, "logging", cv2)  # OpenCV 5 and OpenCV 4
    level = log.getLogLevel()
    log.setLogLevel(0)  # silent
    try:
        yield
    finally:
        log.setLogLevel(level)


def _face(row: NDArray[np.float32]) -> Face:
    x, y, width, height = row[:4].tolist()
    # YuNet's order is right eye, left eye, nose, right and left mouth corner of the person, so
    # that the smaller x comes first: the order of Face.points.
    points = np.ascontiguousarray(row[4:14].reshape(5, 2), np.float32)
    return Face((x, y, x + width, y + height), float(row[14]), points)
