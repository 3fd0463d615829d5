"""Face: what every detector returns, and the protocol that a detector follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mer_edge.errors import MerEdgeError


@dataclass(frozen=True, eq=False)
class Face:
    """One detected face, in pixels of the frame it was found in.

    A coordinate of 0 is the centre of the first pixel. Boxes may reach beyond the frame.
    """

    box: tuple[float, float, float, float]
    """x0, y0, x1, y1 in pixels."""
    score: float
    """The detector's confidence, 0 to 1. Not comparable between detectors."""
    points: NDArray[np.float32]
    """shape = (5, 2), x and y in pixels: left eye, right eye, nose, left and right mouth corner.

    Left is the smaller x in an upright picture, so the person's own right."""
    sure: bool = True
    """Whether it counts by itself; one that is not sure needs a sure face in the same clip."""

    @property
    def width_px(self) -> float:
        return self.box[2] - self.box[0]

    @property
    def height_px(self) -> float:
        return self.box[3] - self.box[1]

    @property
    def area_px(self) -> float:
        return self.width_px * self.height_px

    @property
    def centre(self) -> tuple[float, float]:
        """x and y of the box's centre in pixels."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    def scaled(self, x_factor: float, y_factor: float) -> Face:
        """The same face in a frame whose sides are that many times as long."""
        factors = np.array([x_factor, y_factor], dtype=np.float64)
        corners = np.array(self.box, dtype=np.float64).reshape(2, 2)
        # Pixel centres sit at integers, so the picture's edge is at -0.5 before and after.
        x0, y0, x1, y1 = ((corners + 0.5) * factors - 0.5).ravel().tolist()
        points = (self.points.astype(np.float64) + 0.5) * factors - 0.5
        return Face((x0, y0, x1, y1), self.score, points.astype(np.float32), self.sure)


class FaceDetector(Protocol):
    """Finds the faces of one frame."""

    name: str
    """For reports, such as "mtcnn"."""

    def detect(self, frame_rgb: NDArray[np.uint8]) -> list[Face]:
        """Faces of ``frame_rgb`` (H, W, 3), the most confident first."""
        ...


@runtime_checkable
class NearDetector(FaceDetector, Protocol):
    """A detector that can look again where faces were, for less than a search of the whole."""

    def detect_near(self, frame_rgb: NDArray[np.uint8], faces: Sequence[Face]) -> list[Face]:
        """The faces near ``faces``, found as ``detect`` would find them.

        Args:
            faces: of a frame of the same size, about a second before at most.
        """
        ...


def rgb_frame(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``frame`` as contiguous RGB, shape = (H, W, 3); a grey picture gets three equal channels.

    Raises:
        MerEdgeError: ``frame`` is not a picture of 8-bit values with at least one pixel.
    """
    if frame.dtype != np.uint8:
        raise MerEdgeError(
            f"a frame has values of type {frame.dtype}; expected uint8; scale them to 0..255 first"
        )
    if frame.ndim == 2:
        frame = frame[:, :, None]
    if frame.ndim != 3 or frame.shape[2] not in (1, 3) or frame.size == 0:
        raise MerEdgeError(
            f"a frame has the shape {frame.shape}; expected (height, width, 3) in RGB"
        )
    if frame.shape[2] == 1:
        frame = np.repeat(frame, 3, axis=2)
    return np.ascontiguousarray(frame)
