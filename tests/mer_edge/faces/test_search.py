"""Faces are followed near where they were, and found as in the whole frame."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest

from mer_edge.clips import load_clips
from mer_edge.doctor.drawn_face import draw_face
from mer_edge.faces.face import Face
from mer_edge.faces.mtcnn import MtcnnDetector
from mer_edge.faces.search import FaceSearch
from tests.grey_detector import Grey
from tests.media_files import Picture, write_media

SHARED = Path(__file__).parents[4] / "shared" / "data"


@dataclass
class Watched:
    """MTCNN that counts its searches."""

    name: str = "mtcnn"
    inner: MtcnnDetector = field(default_factory=lambda: MtcnnDetector(threads=1))
    searches: list[str] = field(default_factory=list)

    def detect(self, frame_rgb: np.ndarray) -> list[Face]:
        self.searches.append("whole")
        return self.inner.detect(frame_rgb)

    def detect_near(self, frame_rgb: np.ndarray, faces: Sequence[Face]) -> list[Face]:
        self.searches.append("near")
        return self.inner.detect_near(frame_rgb, faces)


def frame_with(*places: tuple[int, int, float], size=(360, 640)) -> np.ndarray:
    """Drawn faces at (x, y) of a scale each, on noise."""
    canvas = np.random.default_rng(0).integers(80, 140, (*size, 3)).astype(np.uint8)
    for x, y, scale in places:
        face = cv2.resize(draw_face(), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        canvas[y : y + face.shape[0], x : x + face.shape[1]] = face
    return canvas


def same(found: list[Face], expected: list[Face]) -> bool:
    return len(found) == len(expected) and all(
        np.abs(one.points - other.points).max() < 1e-3 and one.box == pytest.approx(other.box)
        for one, other in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("step", [(0, 0), (40, 10), (-60, 25)])
@pytest.mark.parametrize("scale", [0.5, 0.9])
def test_a_face_that_moved_is_found_as_in_the_whole_frame(step, scale):
    detector = MtcnnDetector(threads=1)
    before = detector.detect(frame_with((200, 60, scale)))
    frame = frame_with((200 + step[0], 60 + step[1], scale))
    (found,) = near = detector.detect_near(frame, before)
    assert same(near, detector.detect(frame))
    assert found.score > 0.7


def test_one_frame_in_four_is_searched_whole():
    detector = Watched()
    search = FaceSearch(detector)
    frame = frame_with((200, 60, 0.8))
    found = [search.faces(frame, 0.48 + 0.96 * number) for number in range(9)]
    assert detector.searches == ["whole", *["near"] * 3, "whole", *["near"] * 3, "whole"]
    assert all(same(faces, found[0]) for faces in found)


def test_a_large_frame_gives_places_in_its_own_pixels():
    detector = Watched()
    search = FaceSearch(detector)
    frame = cv2.resize(frame_with((200, 60, 0.8)), (1920, 1080))
    whole, near = (search.faces(frame, time_s) for time_s in (0.0, 0.96))
    assert detector.searches == ["whole", "near"]
    assert same(near, whole)
    assert near[0].width_px > 200


@pytest.mark.parametrize(
    ("second", "gap_s"),
    [
        (frame_with((420, 60, 0.8)), 0.96),  # a cut
        (frame_with((200, 60, 0.8)), 1.5),  # too long ago
        (frame_with((200, 60, 0.8), size=(480, 640)), 0.96),  # another picture
        (frame_with(), 0.96),  # gone
    ],
)
def test_what_cannot_be_followed_is_searched_for_in_the_whole_frame(second, gap_s):
    detector = Watched()
    search = FaceSearch(detector)
    search.faces(frame_with((200, 60, 0.8)), 0.0)
    found = search.faces(second, gap_s)
    assert detector.searches[-1] == "whole"
    assert same(found, detector.inner.detect(second))


def test_two_faces_are_followed_and_a_crowd_is_not():
    detector = Watched()
    search = FaceSearch(detector)
    two = frame_with((60, 60, 0.6), (400, 80, 0.7))
    expected = detector.inner.detect(two)
    assert len(expected) == 2
    for time_s in (0.0, 0.96):
        found = search.faces(two, time_s)
        assert same(sorted(found, key=lambda f: f.box), sorted(expected, key=lambda f: f.box))
    assert detector.searches == ["whole", "near"]
    wall = np.tile(cv2.resize(draw_face(), (120, 120), interpolation=cv2.INTER_AREA), (3, 5, 1))
    search.faces(wall, 1.92)
    search.faces(wall, 2.88)
    assert detector.searches[2:] == ["whole", "whole"]


def test_a_newcomer_is_found_within_the_promised_time():
    search = FaceSearch(Watched())
    seen = []
    for number in range(6):
        places = [(60, 60, 0.6), (400, 80, 0.7)][: 1 if number == 0 else 2]
        seen.append(len(search.faces(frame_with(*places), 0.96 * number)))
    assert seen[0] == 1
    assert seen[4:] == [2, 2]


def test_a_detector_that_cannot_look_near_is_asked_for_the_whole_frame():
    detector = Grey()
    search = FaceSearch(detector)
    for number in range(3):
        assert len(search.faces(np.full((90, 120, 3), 99, np.uint8), 0.96 * number)) == 1
    assert detector.calls == 3


def test_a_clip_of_a_still_face_has_the_same_crop_throughout(tmp_path):
    face = frame_with((200, 60, 0.8))
    picture = Picture("ffv1", frames=100, size=(640, 360), draw=lambda number, time_s, size: face)
    detector = Watched()
    (clip,) = load_clips(write_media(tmp_path / "a.mkv", picture), detector=detector)
    assert detector.searches == ["whole"] + ["near"] * 3 + (["whole"] if clip.segments > 4 else [])
    assert clip.face_present.all()
    assert (clip.faces == clip.faces[0]).all()


@pytest.mark.shared
@pytest.mark.skipif(not (SHARED / "clips").is_dir(), reason="no real clips beside the project")
def test_real_faces_are_found_near_as_in_the_whole_frame():
    detector = MtcnnDetector(threads=1)

    class Whole:
        name = "whole"

        def detect(self, frame_rgb: np.ndarray) -> list[Face]:
            return detector.detect(frame_rgb)

    for path in sorted((SHARED / "clips").glob("*.mp4")):
        (followed,) = load_clips(path, detector=detector)
        (whole,) = load_clips(path, detector=Whole())
        assert (followed.faces == whole.faces).all()
