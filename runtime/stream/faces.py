"""The faces of a window: found once in each picture, the person chosen over the whole window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mer_edge.errors import MerEdgeError
from mer_edge.evidence import Evidence
from mer_edge.faces.face import FaceDetector
from mer_edge.faces.quality import see
from mer_edge.faces.search import FaceSearch
from mer_edge.faces.track import SeenFace, choose_faces
from mer_edge.media.clip_faces import MAX_FACES_PER_FRAME
from runtime.stream.pictures import Picture
from runtime.stream.signals import Signal


@dataclass(eq=False)
class SeenFaces:
    """Everybody in one picture."""

    faces: list[SeenFace] = field(default_factory=list)
    """The largest first."""
    signals: list[Signal] = field(default_factory=list)
    """Of each face, its crop."""
    size_px: tuple[int, int] = (1, 1)
    """Width and height of the picture."""


class FaceChooser:
    """Whose face: number ``choice`` of the people in the window, 1 for the main person.

    The choice is made over the window's pictures alone, as it is for a clip of the same stretch;
    another person may become the main one as the window moves on.
    """

    def __init__(
        self, detector: FaceDetector, choice: int = 1, evidence: Evidence | None = None
    ) -> None:
        if choice < 1:
            raise MerEdgeError(
                f"found --face {choice}; expected 1 for the main person, 2 for the next one, and "
                "so on"
            )
        self._search = FaceSearch(detector)
        self._choice = choice
        self._evidence = evidence

    def look(self, picture: Picture, time_s: float) -> SeenFaces:
        """Everybody in the picture that is shown at ``time_s``; pictures come in order."""
        pixels = picture.rgb()
        found = self._search.faces(pixels, time_s)
        largest = sorted(found, key=lambda face: -face.area_px)
        seen = []
        for face in largest[: max(MAX_FACES_PER_FRAME, self._choice)]:
            one = see(pixels, face, self._evidence)
            if one is not None:
                seen.append(one)
        signals = [Signal(face.crop) for face in seen]
        return SeenFaces(seen, signals, (pixels.shape[1], pixels.shape[0]))

    def choose(self, window: Sequence[SeenFaces]) -> list[Signal | None]:
        """The chosen person's face in each picture, None where it is not seen or not readable."""
        try:
            chosen = choose_faces(
                [seen.faces for seen in window], [seen.size_px for seen in window], self._choice
            )
        except MerEdgeError:  # fewer people than the choice: at another time there may be more
            return [None] * len(window)
        return [_signal_of(seen, face) for seen, face in zip(window, chosen, strict=True)]


def _signal_of(seen: SeenFaces, face: SeenFace | None) -> Signal | None:
    if face is None or not face.readable:
        return None
    return next(s for f, s in zip(seen.faces, seen.signals, strict=True) if f is face)
