"""Faces of frame after frame: the whole frame now and then, in between near where faces were."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mer_edge.faces.detector import downscaled, to_frame
from mer_edge.faces.face import Face, FaceDetector, NearDetector

WHOLE_EVERY_S = 3.5
"""Somebody who comes into the picture beside those seen is found after this time at the latest. Of
frames 0.96 s apart, one in four is searched whole."""
MAX_GAP_S = 1.0
"""Where a face was longer ago than this tells nothing."""
MOST_FOLLOWED = 3
"""In a crowd the whole frame is searched each time: it costs no more."""
MAX_STEP, MAX_GROWTH = 1.0, 2.0
"""A face is found again if it is less than this many face sizes away, and its size less than this
times another."""


class FaceSearch:
    """Finds the faces of frames that come in the order of time.

    A detector that can look near faces (``NearDetector``) finds the same faces there as in the
    whole frame; if one of those seen before is not among them, the whole frame is searched.
    """

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector
        self._last: list[Face] = []
        self._shape: tuple[int, ...] = ()
        self._last_s = self._whole_s = -math.inf

    def faces(self, frame_rgb: NDArray[np.uint8], time_s: float) -> list[Face]:
        """The faces of ``frame_rgb`` (H, W, 3) in its own pixels, searched in a smaller copy.

        Raises:
            MerEdgeError: ``frame_rgb`` is not an 8-bit picture, or the detector failed on it.
        """
        small = downscaled(frame_rgb)
        found = self._found_again(small, time_s)
        if found is None:
            found, self._whole_s = self._detector.detect(small), time_s
        self._last, self._shape, self._last_s = found, small.shape, time_s
        return to_frame(found, small, frame_rgb)

    def _found_again(self, small: NDArray[np.uint8], time_s: float) -> list[Face] | None:
        """The faces near the last ones; None where the whole frame is to be searched."""
        lately = 0 <= time_s - self._last_s <= MAX_GAP_S and time_s - self._whole_s < WHOLE_EVERY_S
        few = 0 < len(self._last) <= MOST_FOLLOWED and small.shape == self._shape
        if not (lately and few and isinstance(self._detector, NearDetector)):
            return None
        found = self._detector.detect_near(small, self._last)
        everybody = all(any(_is_near(face, other) for other in found) for face in self._last)
        return found if everybody and len(found) >= len(self._last) else None


def _is_near(before: Face, now: Face) -> bool:
    size_before, size_now = (math.sqrt(max(face.area_px, 1e-6)) for face in (before, now))
    growth = max(size_before, size_now) / min(size_before, size_now)
    step = math.dist(before.centre, now.centre) / max(size_before, size_now)
    return step < MAX_STEP and growth < MAX_GROWTH
