import numpy as np
import pytest

from mer_edge.errors import MerEdgeError
from mer_edge.faces.face import Face
from mer_edge.faces.track import MAX_GAP_FRAMES, SeenFace, choose_faces

SIZE = (640, 360)
CROP = np.zeros((224, 224, 3), np.uint8)
POINTS = np.zeros((5, 2), np.float32)


def seen(x: float, y: float, side: float = 60) -> SeenFace:
    box = (x - side / 2, y - side / 2, x + side / 2, y + side / 2)
    return SeenFace(Face(box, 0.9, POINTS), CROP)


def choose(frames, choice=1):
    return choose_faces(frames, [SIZE] * len(frames), choice)


def test_nobody_is_fine_and_gives_none():
    assert choose([[], [], []]) == [None, None, None]
    assert choose([]) == []


def test_large_and_central_and_lasting_comes_first():
    main = [seen(320 + i, 180, 80) for i in range(4)]
    small = [seen(200, 180, 40) for _ in range(4)]
    aside = [seen(60, 60, 80) for _ in range(4)]
    frames = [list(row) for row in zip(aside, small, main, strict=True)]
    assert choose(frames) == main
    assert choose(frames, 2) == small
    assert choose(frames, 3) == aside


def test_who_stays_beats_who_is_larger_for_a_moment():
    stays = [seen(300, 180, 80) for _ in range(6)]
    frames = [[face] for face in stays]
    frames[3] = [seen(480, 180, 110), stays[3]]
    assert choose(frames) == stays


def test_two_people_are_told_apart_when_the_detector_swaps_their_order():
    left = [seen(200 + 5 * i, 180, 80) for i in range(4)]
    right = [seen(420, 180, 60) for _ in range(4)]
    frames = [[left[i], right[i]] if i % 2 else [right[i], left[i]] for i in range(4)]
    assert choose(frames) == left
    assert choose(frames, 2) == right


def test_a_person_who_is_missed_for_a_while_is_the_same_afterwards():
    person = [seen(320, 180) for _ in range(3)]
    other = seen(60, 300, 30)
    frames = [[person[0]], *([[other]] * (MAX_GAP_FRAMES - 1)), [person[1], other], [person[2]]]
    chosen = choose(frames)
    assert [face for face in chosen if face is not None] == person
    assert chosen[1] is None


def test_one_person_who_moves_far_is_still_one():
    faces = [seen(80, 180), seen(560, 180), seen(320, 200)]
    assert choose([[face] for face in faces]) == faces
    smaller = seen(560, 180, 25)  # far and of another size: somebody else
    assert choose([[faces[0]], [smaller]]) == [faces[0], None]


def test_two_people_far_apart_never_become_one():
    faces = [[seen(80, 180), seen(560, 180)], [seen(320, 60)]]
    with pytest.raises(MerEdgeError, match=r"3 people are seen in 2 frames; expected at least 4"):
        choose(faces, 4)


def test_too_high_a_choice_names_how_many_there_are():
    with pytest.raises(MerEdgeError, match=r"1 person is seen .* at least 2 for --face 2"):
        choose([[seen(320, 180)]], 2)
    with pytest.raises(MerEdgeError, match="0 people are seen"):
        choose([[]], 2)
