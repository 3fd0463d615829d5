import numpy as np
import pytest
from numpy.typing import NDArray

from train.datasets.appearance import Appearance, random_appearance
from train.datasets.expression import EXPRESSIONS, RELAXED, Expression, expression_of, speaking
from train.datasets.features import draw_features
from train.datasets.portrait import CENTRE, HEIGHT, WIDTH, Light, draw_portrait
from train.datasets.scene import draw_frames

LIGHT = Light(direction=(0.0, -0.4, 0.9165), ambient=0.6)


def person(seed: int) -> Appearance:
    return random_appearance(np.random.default_rng(seed))


def changed(look: Appearance, expression: Expression) -> NDArray[np.bool_]:
    """Which pixels of a portrait the expression makes differ from the relaxed face."""
    portrait = np.ascontiguousarray(draw_portrait(look, LIGHT, np.random.default_rng(0))[..., :3])
    relaxed, moved = portrait.copy(), portrait.copy()
    draw_features(relaxed, look, RELAXED, 1.0)
    draw_features(moved, look, expression, 1.0)
    return np.asarray((relaxed != moved).any(axis=2))


def test_a_portrait_is_opaque_in_the_face_and_clear_in_the_corners() -> None:
    for seed in range(6):
        rgba = draw_portrait(person(seed), LIGHT, np.random.default_rng(seed))
        assert rgba.shape == (HEIGHT, WIDTH, 4)
        assert rgba.dtype == np.uint8
        x, y = round(CENTRE[0]), round(CENTRE[1])
        assert (rgba[y - 60 : y + 80, x - 25 : x + 25, 3] == 255).all()
        assert (rgba[:20, [0, -1], 3] == 0).all()


def test_the_face_has_its_skin_colour() -> None:
    look = person(2)
    rgba = draw_portrait(look, LIGHT, np.random.default_rng(0))
    x, y = round(CENTRE[0]), round(CENTRE[1])
    cheek = rgba[y + 25 : y + 30, x + 30 : x + 40, :3].mean(axis=(0, 1))
    assert cheek / cheek.sum() == pytest.approx(np.array(look.skin) / np.sum(look.skin), abs=0.05)


@pytest.mark.parametrize("emotion", ["angry", "happy", "sad"])
def test_emotions_move_brows_and_mouth_and_nothing_else(emotion: str) -> None:
    moved = changed(person(1), EXPRESSIONS[emotion])
    middle = round(CENTRE[1])
    assert moved[middle - 50 : middle].sum() > 300
    assert moved[middle + 40 : middle + 90].sum() > 300
    assert not moved[: middle - 70].any()
    assert not moved[middle + 100 :].any()


def test_neutral_is_the_relaxed_face() -> None:
    assert not changed(person(1), EXPRESSIONS["neutral"]).any()


def test_a_stronger_expression_changes_more() -> None:
    faces = [changed(person(3), expression_of("happy", s, np.random.default_rng(4))).sum()
             for s in (0.0, 0.5, 1.0)]  # fmt: skip
    assert faces[0] < faces[1] < faces[2]


def test_the_voice_opens_the_mouth_and_a_blink_shuts_the_eyes() -> None:
    assert speaking(RELAXED, 1.0, 1.0, 0.0).mouth_open > speaking(RELAXED, 0.1, 1.0, 0.0).mouth_open
    assert speaking(RELAXED, 0.0, 1.0, 0.0) == RELAXED
    assert speaking(RELAXED, 0.0, 1.0, 1.0).lid_upper == -1.0


def test_frames_are_the_same_for_the_same_seed_alone() -> None:
    def frames(seed: int) -> list[NDArray[np.uint8]]:
        rng = np.random.default_rng(seed)
        return list(draw_frames(random_appearance(rng), RELAXED, np.array([0.0, 0.5, 1.0]), rng))

    first, again, other = frames(1), frames(1), frames(2)
    assert [f.shape for f in first] == [(240, 320, 3)] * 3
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[0], first[2])


def test_people_differ() -> None:
    looks = [person(seed) for seed in range(40)]
    assert len(set(looks)) == 40
    assert len({look.hair_style for look in looks}) >= 4
    assert np.std([np.mean(look.skin) for look in looks]) > 20
