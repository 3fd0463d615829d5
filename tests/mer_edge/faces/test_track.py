import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_edge.errors import MerEdgeError
from mer_edge.faces.face import Face
from mer_edge.faces.track import SeenFace, choose_faces

SIZE = (640, 360)
POINTS = np.zeros((5, 2), np.float32)


def looks_of(person: int, brightness: float = 1.0) -> np.ndarray:
    """A crop with the person's own colours."""
    colours = np.random.default_rng(person).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    crop = cv2.resize(colours, (224, 224), interpolation=cv2.INTER_NEAREST)
    return (crop * brightness).astype(np.uint8)


LOOKS = [looks_of(person) for person in range(5)]
ALIKE = len(LOOKS)
"""Somebody who looks much like person 0, as people under one lamp do."""
LOOKS.append(cv2.addWeighted(LOOKS[0], 0.65, LOOKS[1], 0.35, 0))


def seen(x: float, y: float, side: float = 60, person: int = 0, sure: bool = True) -> SeenFace:
    box = (x - side / 2, y - side / 2, x + side / 2, y + side / 2)
    return SeenFace(Face(box, 0.9, POINTS, sure), LOOKS[person])


def choose(frames, choice=1):
    return choose_faces(frames, [SIZE] * len(frames), choice)


def test_nobody_is_fine_and_gives_none():
    assert choose([[], [], []]) == [None, None, None]
    assert choose([]) == []


def test_large_and_central_and_lasting_comes_first():
    main = [seen(320 + i, 180, 80, person=0) for i in range(4)]
    small = [seen(200, 180, 40, person=1) for _ in range(4)]
    aside = [seen(60, 60, 80, person=2) for _ in range(4)]
    frames = [list(row) for row in zip(aside, small, main, strict=True)]
    assert choose(frames) == main
    assert choose(frames, 2) == small
    assert choose(frames, 3) == aside


def test_where_no_face_is_sure_there_is_nobody():
    leaves = [[seen(320, 180, 80, sure=False)] for _ in range(3)]
    assert choose(leaves) == [None, None, None]


def test_one_sure_face_makes_the_others_of_that_person_count():
    faces = [seen(320, 180, 80, sure=number == 2) for number in range(4)]
    assert choose([[face] for face in faces]) == faces


def test_who_is_never_sure_comes_after_everybody_else():
    cushion = [seen(320, 180, 200, person=0, sure=False) for _ in range(3)]
    person = [seen(80, 80, 60, person=1) for _ in range(3)]
    frames = [list(row) for row in zip(cushion, person, strict=True)]
    assert choose(frames) == person
    assert choose(frames, 2) == cushion


def test_who_stays_beats_who_is_larger_for_a_moment():
    stays = [seen(300, 180, 80, person=0) for _ in range(6)]
    frames = [[face] for face in stays]
    frames[3] = [seen(480, 180, 110, person=1), stays[3]]
    assert choose(frames) == stays


def test_two_people_are_told_apart_when_the_detector_swaps_their_order():
    left = [seen(200 + 5 * i, 180, 80, person=0) for i in range(4)]
    right = [seen(420, 180, 60, person=1) for _ in range(4)]
    frames = [[left[i], right[i]] if i % 2 else [right[i], left[i]] for i in range(4)]
    assert choose(frames) == left
    assert choose(frames, 2) == right


@pytest.mark.parametrize("other", [1, ALIKE])
def test_people_who_cross_keep_who_they_are(other):
    """Between the second and the third frame each is nearer to where the other one was."""
    right_going = [seen(x, 180, 80, person=0) for x in (250, 300, 340, 390)]
    left_going = [seen(x, 180, 80, person=other) for x in (390, 340, 300, 250)]
    frames = [list(pair) for pair in zip(left_going, right_going, strict=True)]
    chosen = {tuple(map(id, choose(frames, choice))) for choice in (1, 2)}
    assert chosen == {tuple(map(id, right_going)), tuple(map(id, left_going))}


def test_a_person_who_is_missed_for_a_while_is_the_same_afterwards():
    person = [seen(320, 180, person=0) for _ in range(3)]
    other = seen(60, 300, 30, person=1)
    frames = [[person[0]], *([[other]] * 9), [person[1], other], [person[2]]]
    chosen = choose(frames, 1)
    assert [face for face in chosen if face is not None] == person
    assert chosen[1:10] == [None] * 9


def test_who_enters_late_is_somebody_new():
    first = [seen(250, 180, 80, person=0) for _ in range(5)]
    second = [seen(430, 180, 80, person=1) for _ in range(3)]
    frames = [[first[i]] if i < 2 else [second[i - 2], first[i]] for i in range(5)]
    assert choose(frames, 1) == first
    assert choose(frames, 2) == [None, None, *second]


def test_one_person_who_moves_far_is_still_one():
    faces = [seen(80, 180), seen(560, 180), seen(320, 200)]
    assert choose([[face] for face in faces]) == faces


def test_a_cut_to_somebody_else_in_the_same_place_is_somebody_else():
    first, second = seen(320, 180, 100, person=0), seen(320, 180, 90, person=1)
    frames = [[first], [second], [first], [second], [first]]
    assert choose(frames, 1) == [first, None, first, None, first]
    assert choose(frames, 2) == [None, second, None, second, None]


def test_changed_looks_are_forgiven_nearby_only():
    """A turned head changes as much as there is between two people who look alike."""
    first = seen(120, 180, 60, person=0)
    near = seen(150, 190, 70, person=ALIKE)
    far, larger = seen(500, 180, 60, person=ALIKE), seen(120, 180, 150, person=ALIKE)
    assert choose([[first], [near]]) == [first, near]
    assert None in choose([[first], [far]])
    assert None in choose([[first], [larger]])


def test_a_lamp_changes_nobody_into_somebody_else():
    lit = seen(320, 180)
    dark = SeenFace(seen(325, 182).face, looks_of(0, brightness=0.5))
    assert choose([[lit], [dark], [lit]]) == [lit, dark, lit]


def test_equally_prominent_people_count_from_the_left():
    left, right = seen(220, 180, person=0), seen(420, 180, person=1)
    assert choose([[right, left]], 1) == [left]
    assert choose([[right, left]], 2) == [right]


def test_two_people_far_apart_never_become_one():
    faces = [[seen(80, 180, person=0), seen(560, 180, person=1)], [seen(320, 60, person=2)]]
    with pytest.raises(MerEdgeError, match=r"3 people are seen in 2 frames; expected at least 4"):
        choose(faces, 4)


def test_too_high_a_choice_names_how_many_there_are():
    with pytest.raises(MerEdgeError, match=r"1 person is seen .* at least 2 for --face 2"):
        choose([[seen(320, 180)]], 2)
    with pytest.raises(MerEdgeError, match="0 people are seen"):
        choose([[]], 2)


@pytest.mark.parametrize("choice", [0, -1])
def test_people_count_from_one(choice):
    with pytest.raises(MerEdgeError, match=rf"--face {choice}: expected 1"):
        choose([[seen(320, 180)]], choice)


@st.composite
def clips(draw):
    face = st.tuples(st.floats(0, 640), st.floats(0, 360), st.floats(1, 300), st.integers(0, 4))
    return [[seen(*f) for f in frame] for frame in draw(st.lists(st.lists(face, max_size=4)))]


@settings(max_examples=60, deadline=None)
@given(clips(), st.randoms())
def test_every_face_belongs_to_exactly_one_person_whatever_its_order(frames, random):
    chosen = []
    for choice in range(1, 1 + sum(map(len, frames))):
        try:
            chosen.append(choose(frames, choice))
        except MerEdgeError:
            break
    taken = [id(face) for track in chosen for face in track if face is not None]
    assert sorted(taken) == sorted(id(face) for frame in frames for face in frame)
    if not chosen:
        return
    boxes = [[face.face.box for face in frame] for frame in frames]
    if any(len(set(frame)) < len(frame) for frame in boxes):
        return  # Two faces in one place: their order may decide.
    shuffled = [random.sample(frame, len(frame)) for frame in frames]
    assert choose(shuffled) == chosen[0]
