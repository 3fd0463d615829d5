"""A face detector for tests of what comes after it."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from mer_edge.faces.face import Face

# Where the five points lie in a face box, as shares of its sides.
POINTS = np.array([[0.33, 0.4], [0.67, 0.4], [0.5, 0.6], [0.37, 0.78], [0.63, 0.78]])


@dataclass
class Grey:
    """A detector for tests: ``count`` faces in a row in every frame brighter than black."""

    count: int = 1
    name: str = "grey"
    calls: int = 0
    sure_in_calls: Collection[int] | None = None
    """The number of each call whose faces are sure; None: all."""

    def detect(self, frame_rgb: np.ndarray) -> list[Face]:
        self.calls += 1
        if frame_rgb.mean() < 10:
            return []
        height, width = frame_rgb.shape[:2]
        faces = []
        for i in range(self.count):
            side = min(height, width / self.count) * (0.9 - 0.1 * i)
            x0, y0 = (i + 0.5) * width / self.count - side / 2, (height - side) / 2
            points = (POINTS * side + (x0, y0)).astype(np.float32)
            sure = self.sure_in_calls is None or self.calls in self.sure_in_calls
            faces.append(Face((x0, y0, x0 + side, y0 + side), 0.99, points, sure))
        return faces


def level_of_crop(crop: np.ndarray) -> float:
    """The grey of a crop's middle: its edges may reach beyond the frame."""
    return float(crop[100:130, 100:130].mean())
