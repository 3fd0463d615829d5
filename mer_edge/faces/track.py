"""Who is who over a clip's frames, and whose face the clip is about.

Frames may lie 0.96 s apart, too far for a tracker that predicts motion: faces are linked by how
near and how alike in size they are, the surest pairs first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mer_edge.errors import MerEdgeError
from mer_edge.faces.face import Face

MAX_STEP = 1.5
"""From one frame to the next the centre of a face moves by less than this many face sizes..."""
MAX_GROWTH = 2.0
"""...and its size changes by less than this factor."""
MAX_GAP_FRAMES = 5
"""A person who was not seen in this many frames is somebody new."""
CENTRALITY_SPREAD = 0.35
"""Of the frame's half diagonal: how fast a face away from the centre loses importance."""


@dataclass(frozen=True, eq=False)
class SeenFace:
    """A face of one frame and its aligned crop."""

    face: Face
    crop: NDArray[np.uint8]
    """shape = (224, 224, 3)"""


@dataclass
class _Track:
    """One person: the faces by the number of their frame."""

    faces: dict[int, SeenFace] = field(default_factory=dict)
    prominence: float = 0.0

    @property
    def last_frame(self) -> int:
        return next(reversed(self.faces))

    @property
    def last_face(self) -> Face:
        return self.faces[self.last_frame].face


def choose_faces(
    frames: Sequence[Sequence[SeenFace]], frame_sizes: Sequence[tuple[int, int]], choice: int = 1
) -> list[SeenFace | None]:
    """The face of one person in each frame, None where that person is not seen.

    People are ranked by the sum over the frames of a face's share of the picture times its
    centrality: who stays largest and most central over the clip comes first.

    Args:
        frames: the faces of each frame, in time order.
        frame_sizes: width and height of each frame, px.
        choice: 1 for the main person, 2 for the next, and so on.

    Raises:
        MerEdgeError: fewer people than ``choice`` are seen; nobody at all with ``choice`` 1 is
            fine and gives None everywhere.
    """
    tracks: list[_Track] = []
    for number, (faces, size) in enumerate(zip(frames, frame_sizes, strict=True)):
        for track, seen in _linked(tracks, faces, number):
            track.faces[number] = seen
            track.prominence += _prominence(seen.face, size)
    if choice > len(tracks):
        if choice == 1:
            return [None] * len(frames)
        raise MerEdgeError(
            f"{len(tracks)} {'person is' if len(tracks) == 1 else 'people are'} seen in "
            f"{len(frames)} frames; expected at least {choice} for --face {choice}; "
            "choose a smaller number"
        )
    # Stable: of two who are equally prominent, the one seen first comes first.
    tracks.sort(key=lambda track: -track.prominence)
    return [tracks[choice - 1].faces.get(number) for number in range(len(frames))]


def _linked(
    tracks: list[_Track], faces: Sequence[SeenFace], number: int
) -> list[tuple[_Track, SeenFace]]:
    """Each face of a frame with the track it goes on, or with a new one, added to ``tracks``."""
    alive = [track for track in tracks if number - track.last_frame <= MAX_GAP_FRAMES]
    pairs = [
        (cost, t, f)
        for t, track in enumerate(alive)
        for f, seen in enumerate(faces)
        if (cost := _cost(track.last_face, seen.face)) < math.inf
    ]
    if not pairs and len(faces) == 1 and _moved_far(alive, faces[0].face, number):
        pairs = [(0.0, 0, 0)]
    free_tracks, free_faces = set(range(len(alive))), set(range(len(faces)))
    links = []
    for _, t, f in sorted(pairs):
        if t in free_tracks and f in free_faces:
            free_tracks.remove(t)
            free_faces.remove(f)
            links.append((alive[t], faces[f]))
    for f in sorted(free_faces):
        tracks.append(_Track())
        links.append((tracks[-1], faces[f]))
    return links


def _moved_far(alive: list[_Track], face: Face, number: int) -> bool:
    """Whether there was one person in the frame before and is one of about the same size now."""
    return (
        len(alive) == 1
        and number - alive[0].last_frame == 1
        and _growth(alive[0].last_face, face) < MAX_GROWTH
    )


def _cost(before: Face, now: Face) -> float:
    """0 for the same place and size; infinite for faces that cannot be the same person's."""
    step = math.dist(before.centre, now.centre) / max(_size_px(before), _size_px(now))
    growth = _growth(before, now)
    if step >= MAX_STEP or growth >= MAX_GROWTH:
        return math.inf
    return step + math.log(growth)


def _size_px(face: Face) -> float:
    return math.sqrt(max(face.area_px, 1e-6))


def _growth(before: Face, now: Face) -> float:
    """By which factor the size changed, 1 or more."""
    factor = _size_px(now) / _size_px(before)
    return max(factor, 1 / factor)


def _prominence(face: Face, frame_size: tuple[int, int]) -> float:
    width, height = frame_size
    away = math.dist(face.centre, (width / 2, height / 2)) / (math.hypot(width, height) / 2)
    return face.area_px / (width * height) * math.exp(-0.5 * (away / CENTRALITY_SPREAD) ** 2)
