"""Who is who over a clip's frames, and whose face the clip is about.

Frames may lie 0.96 s apart, too far for a tracker that predicts motion, and a cut may lie between
them: faces are linked by place, size and looks, the surest pairs first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_edge.errors import MerEdgeError
from mer_edge.faces.boxes import Floats
from mer_edge.faces.face import Face

MAX_STEP = 1.5
"""From one frame to the next the centre of a face moves by less than this many face sizes..."""
MAX_GROWTH = 2.0
"""...and its size changes by less than this factor..."""
MAX_CHANGE = 0.2
"""...and its looks by less than this (mean difference of 8 x 8 thumbnails, full scale 1).

Measured on aligned crops: one person 0.5 to 1 s apart 0.02 (median), 0.16 (most); different people
in one photo 0.19 (median), in different videos 0.26."""
MAX_CHANGE_AFAR = 0.06
"""A face further away or of another size, as after a cut, is the same person's if it looks the
same.

Measured: nine in ten pairs of one person, no pair of different people in one photo or video."""
CHANGE_WEIGHT = 5.0
"""A change of looks of 0.2 weighs as much as a step of one face size."""
THUMBNAIL_PX = 8
CENTRALITY_SPREAD = 0.35
"""Of the frame's half diagonal: how fast a face away from the centre loses importance."""


@dataclass(frozen=True, eq=False)
class SeenFace:
    """A face of one frame and its aligned crop."""

    face: Face
    crop: NDArray[np.uint8]
    """shape = (224, 224, 3)"""
    readable: bool = True
    """Whether it is large and sharp enough to have a say."""


@dataclass(eq=False)
class _Track:
    """One person: the faces by the number of their frame."""

    faces: dict[int, SeenFace] = field(default_factory=dict)
    prominence: float = 0.0
    sure: bool = False
    """Whether one of the faces is."""

    def add(self, number: int, seen: SeenFace, looks: Floats, prominence: float) -> None:
        self.faces[number] = seen
        self.last, self.looks = seen.face, looks
        self.prominence += prominence
        self.sure |= seen.face.sure


def choose_faces(
    frames: Sequence[Sequence[SeenFace]], frame_sizes: Sequence[tuple[int, int]], choice: int = 1
) -> list[SeenFace | None]:
    """The face of one person in each frame, None where that person is not seen.

    People are ranked by the sum over the frames of a face's share of the picture times its
    centrality: who stays largest and most central over the clip comes first. People of whom no face
    is sure come after all others, and where nobody is sure there is nobody: what a detector takes
    for a face in leaves or cloth is not sure in any frame.

    Args:
        frames: the faces of each frame, in time order.
        frame_sizes: width and height of each frame, px.
        choice: 1 for the main person, 2 for the next, and so on.

    Raises:
        MerEdgeError: fewer people than ``choice`` are seen; nobody at all with ``choice`` 1 is
            fine and gives None everywhere.
    """
    if choice < 1:
        raise MerEdgeError(f"--face {choice}: expected 1 for the main person, 2 for the next...")
    tracks = _people(frames, frame_sizes) if somebody_is_sure(frames) else []
    if choice > len(tracks):
        if choice == 1:
            return [None] * len(frames)
        raise MerEdgeError(
            f"{len(tracks)} {'person is' if len(tracks) == 1 else 'people are'} seen in "
            f"{len(frames)} frames; expected at least {choice} for --face {choice}; "
            "choose a smaller number"
        )
    # Stable: of two who are equally prominent, the one seen first comes first.
    tracks.sort(key=lambda track: (not track.sure, -track.prominence))
    return [tracks[choice - 1].faces.get(number) for number in range(len(frames))]


def somebody_is_sure(frames: Sequence[Sequence[SeenFace]]) -> bool:
    """Whether any face of a clip's frames is sure: else there is nobody in it."""
    return any(seen.face.sure for faces in frames for seen in faces)


def _people(
    frames: Sequence[Sequence[SeenFace]], frame_sizes: Sequence[tuple[int, int]]
) -> list[_Track]:
    """Everybody in the clip, in the order in which they are first seen, left to right."""
    tracks: list[_Track] = []
    for number, (faces, size) in enumerate(zip(frames, frame_sizes, strict=True)):
        faces = sorted(faces, key=lambda seen: seen.face.box)
        looks = [_looks(seen.crop) for seen in faces]
        for t, f in _links(tracks, [seen.face for seen in faces], looks):
            if t is None:
                t = len(tracks)
                tracks.append(_Track())
            tracks[t].add(number, faces[f], looks[f], _prominence(faces[f].face, size))
    return tracks


def _links(
    tracks: Sequence[_Track], faces: Sequence[Face], looks: Sequence[Floats]
) -> list[tuple[int | None, int]]:
    """The track that each of a frame's faces goes on, None for somebody new.

    A track outlives frames in which its person is not seen.
    """
    pairs = sorted(
        (cost, t, f)
        for t, track in enumerate(tracks)
        for f, face in enumerate(faces)
        if (cost := _cost(track.last, face, _change(track.looks, looks[f]))) < math.inf
    )
    linked: dict[int, int] = {}
    for _, t, f in pairs:
        if f not in linked and t not in linked.values():
            linked[f] = t
    return [(linked.get(f), f) for f in range(len(faces))]


def _cost(before: Face, now: Face, change: float) -> float:
    """0 for the same place, size and looks; infinite for faces that cannot be one person's."""
    size_before, size_now = (math.sqrt(max(face.area_px, 1e-6)) for face in (before, now))
    step = math.dist(before.centre, now.centre) / max(size_before, size_now)
    growth = abs(math.log(size_now / size_before))
    near = step < MAX_STEP and growth < math.log(MAX_GROWTH)
    if change >= (MAX_CHANGE if near else MAX_CHANGE_AFAR):
        return math.inf
    return step + growth + CHANGE_WEIGHT * change


def _looks(crop: NDArray[np.uint8]) -> Floats:
    """shape = (8, 8, 3): colours of skin, hair and background, little of the expression.

    Without its mean, so that a lamp or the camera's exposure changes nobody into somebody else.
    """
    small = cv2.resize(crop, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    looks = small.astype(np.float32) / 255
    centred: Floats = looks - looks.mean()
    return centred


def _change(before: Floats, now: Floats) -> float:
    return float(np.abs(before - now).mean())


def _prominence(face: Face, frame_size: tuple[int, int]) -> float:
    width, height = frame_size
    away = math.dist(face.centre, (width / 2, height / 2)) / (math.hypot(width, height) / 2)
    return face.area_px / (width * height) * math.exp(-0.5 * (away / CENTRALITY_SPREAD) ** 2)
