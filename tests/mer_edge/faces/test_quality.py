"""Faces too small or too blurred to read: the measures, and what is made of them."""

import cv2
import numpy as np
import pytest

from mer_edge.evidence import Evidence
from mer_edge.faces.align import TEMPLATE
from mer_edge.faces.face import Face
from mer_edge.faces.quality import face_px, is_readable, see, sharpness


def textured(seed: int = 0) -> np.ndarray:
    """A crop with detail at every scale, as a face has."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.normal(0, 1, (side, side)).astype(np.float32), (224, 224), interpolation=1)
        for side in (7, 14, 28, 56, 112)
    ]
    grey = np.clip(128 + 20 * sum(layers), 0, 255).astype(np.uint8)
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)


def coarse(crop: np.ndarray, side: int) -> np.ndarray:
    """As a face that had only so many pixels across the crop."""
    small = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (224, 224), interpolation=cv2.INTER_LINEAR)


@pytest.mark.parametrize("scale", [0.1, 0.5, 3.0])
def test_the_width_is_twice_the_distance_of_the_eyes_in_the_source(scale):
    eyes = float(np.linalg.norm(TEMPLATE[1] - TEMPLATE[0]))
    assert face_px(TEMPLATE * scale + 40) == pytest.approx(2 * eyes * scale, rel=0.01)
    turned = TEMPLATE @ np.array([[0.0, 1.0], [-1.0, 0.0]]) * scale
    assert face_px(turned) == pytest.approx(2 * eyes * scale, rel=0.01)


def test_points_that_are_no_face_have_no_width():
    assert face_px(np.zeros((5, 2))) == 0.0


def test_sharpness_falls_with_every_loss_of_detail():
    crop = textured()
    sides = [sharpness(coarse(crop, side)) for side in (224, 56, 40, 28, 20, 14)]
    assert sides == sorted(sides, reverse=True)
    assert sides[0] > 4 * sides[-1]
    blurs = [sharpness(cv2.GaussianBlur(crop, (0, 0), sigma)) for sigma in (1, 2, 4, 8, 16)]
    assert blurs == sorted(blurs, reverse=True)
    assert blurs[0] > 10 * blurs[-1]


def test_sharpness_does_not_depend_on_light_and_contrast():
    crop = textured()
    dim = (crop * 0.3 + 20).astype(np.uint8)
    assert sharpness(dim) == pytest.approx(sharpness(crop), rel=0.1)


def test_an_even_crop_is_not_sharp():
    assert sharpness(np.full((224, 224, 3), 90, np.uint8)) == 0.0


def test_a_face_is_readable_by_both_measures():
    crop = textured()
    face = Face((0, 0, 60, 80), 0.99, (TEMPLATE * 0.2).astype(np.float32))  # 23 px wide
    assert is_readable(face, crop, Evidence())
    assert is_readable(face, crop, Evidence(min_face_px=20))
    assert not is_readable(face, crop, Evidence(min_face_px=25))
    value = sharpness(crop)
    assert is_readable(face, crop, Evidence(min_face_sharpness=value * 0.9))
    assert not is_readable(face, crop, Evidence(min_face_sharpness=value * 1.1))


def test_a_seen_face_says_whether_it_is_readable():
    frame = textured()
    points = (TEMPLATE * 0.2 + 50).astype(np.float32)
    face = Face((50, 50, 90, 90), 0.99, points)
    for evidence, readable in ((None, True), (Evidence(min_face_px=25), False)):
        seen = see(frame, face, evidence)
        assert seen is not None
        assert seen.readable is readable
    assert see(frame, Face((0, 0, 1, 1), 0.9, np.zeros((5, 2), np.float32)), None) is None
