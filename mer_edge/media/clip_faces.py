"""The faces of a clip: one crop per frame that is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_edge.errors import MerEdgeError
from mer_edge.evidence import Evidence
from mer_edge.faces.face import FaceDetector
from mer_edge.faces.quality import see
from mer_edge.faces.search import FaceSearch
from mer_edge.faces.track import SeenFace, choose_faces, somebody_is_sure
from mer_edge.media.ahead import read_ahead
from mer_edge.media.frames import FrameSource, Picture
from mer_edge.segments import FACE_SIZE_PX

MAX_FACES_PER_FRAME = 8
"""Only the largest are followed: a crop is 150 kB, and a crowd has hundreds of faces."""


@dataclass(frozen=True, eq=False)
class ClipFaces:
    """The chosen person's face at the times that were asked for."""

    crops: NDArray[np.uint8]
    """shape = (times, 224, 224, 3), zeros where absent."""
    present: NDArray[np.bool_]
    """shape = (times,)"""
    most_in_a_frame: int
    """The most faces that one frame had."""
    doubtful: int = 0
    """Frames with something like a face, where no frame has one that is sure."""
    unreadable: int = 0
    """Frames whose face is too small or too blurred to be read, and counts as absent."""


class FaceFinder:
    """Looks for faces in a source's frames, in each frame once."""

    def __init__(
        self, path: Path, detector: FaceDetector, choice: int, evidence: Evidence | None = None
    ) -> None:
        self._path = path
        self._search = FaceSearch(detector)
        self._choice = choice
        self._evidence = evidence
        self._last: tuple[int, list[SeenFace]] | None = None

    def find(self, frames: FrameSource, times_s: Sequence[float], *, required: bool) -> ClipFaces:
        """The chosen face at each time.

        Args:
            required: whether fewer people than ``choice`` is an error (else nobody is present).

        Raises:
            MerEdgeError: fewer people are seen than ``choice`` asks for; or a frame is unreadable.
        """
        seen: list[list[SeenFace]] = []
        sizes: list[tuple[int, int]] = []
        with _decoded_ahead(frames, times_s) as pictures:
            for time_s, picture in zip(times_s, pictures, strict=True):
                seen.append([] if picture is None else self._faces_of(picture, time_s))
                height, width = (1, 1) if picture is None else picture.pixels.shape[:2]
                sizes.append((width, height))
        chosen = self._choose(seen, sizes, required)
        crops = np.zeros((len(times_s), FACE_SIZE_PX, FACE_SIZE_PX, 3), np.uint8)
        for crop, face in zip(crops, chosen, strict=True):
            if face is not None and face.readable:
                crop[:] = face.crop
        present = np.array([face is not None and face.readable for face in chosen], np.bool_)
        unreadable = sum(face is not None and not face.readable for face in chosen)
        most = max(map(len, seen), default=0)
        if not somebody_is_sure(seen):
            return ClipFaces(crops, present, 0, doubtful=sum(map(bool, seen)))
        return ClipFaces(crops, present, most, unreadable=unreadable)

    def _faces_of(self, picture: Picture, time_s: float) -> list[SeenFace]:
        if self._last is None or self._last[0] != picture.key:
            faces = self._search.faces(picture.pixels, time_s)
            faces = sorted(faces, key=lambda face: -face.area_px)
            seen = [
                see(picture.pixels, face, self._evidence)
                for face in faces[: max(MAX_FACES_PER_FRAME, self._choice)]
            ]
            self._last = picture.key, [face for face in seen if face is not None]
        return self._last[1]

    def _choose(
        self, seen: list[list[SeenFace]], sizes: list[tuple[int, int]], required: bool
    ) -> list[SeenFace | None]:
        try:
            return choose_faces(seen, sizes, self._choice)
        except MerEdgeError as error:
            if not required:
                return [None] * len(seen)
            raise MerEdgeError(f"{self._path}: {error}") from error


class AlignedFaces:
    """Takes every frame for an aligned face, as data sets of face crops have them."""

    def find(self, frames: FrameSource, times_s: Sequence[float], *, required: bool) -> ClipFaces:
        """The frame at each time, scaled to the size of a face."""
        crops = np.zeros((len(times_s), FACE_SIZE_PX, FACE_SIZE_PX, 3), np.uint8)
        present = np.zeros(len(times_s), np.bool_)
        with _decoded_ahead(frames, times_s) as pictures:
            for number, picture in enumerate(pictures):
                if picture is not None:
                    crops[number] = _scaled(picture.pixels)
                    present[number] = True
        return ClipFaces(crops, present, int(present.any()))


def _decoded_ahead(
    frames: FrameSource, times_s: Sequence[float]
) -> AbstractContextManager[Iterator[Picture | None]]:
    """The pictures, the next of which is decoded while one is searched."""
    return closing(read_ahead(frames.pictures_at(times_s)))


def _scaled(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    shrinks = min(pixels.shape[:2]) > FACE_SIZE_PX
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    scaled: NDArray[np.uint8] = cv2.resize(pixels, (FACE_SIZE_PX, FACE_SIZE_PX), interpolation=how)
    return scaled
