"""Runs of a copy against what NumPy's indexing gives, and buckets of sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mer_edge.bundle import ShapeRange
from runtime.cuda.buckets import Buckets, round_up
from runtime.cuda.layout import Run, box_runs, cut_runs, place_runs, take_runs

SIZES = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 2), st.integers(0, 2)), max_size=4)


def copy(source: np.ndarray, target: np.ndarray, runs: Sequence[Run]) -> None:
    for run in runs:
        values = target if run.within_target else source
        moved = values[run.source : run.source + run.count].copy()
        target[run.target : run.target + run.count] = moved


@given(SIZES)
def test_a_copy_from_box_to_box(sizes):
    shape = tuple(size for size, _, _ in sizes)
    boxes = [tuple(size[0] + size[1 + i] for size in sizes) for i in range(2)]
    source = np.arange(1, 1 + math.prod(boxes[0]), dtype=float)
    target = np.zeros(math.prod(boxes[1]))
    runs = box_runs(shape, *boxes)
    copy(source, target, runs)
    inside = tuple(slice(size) for size in shape)
    expected = np.zeros(boxes[1])
    expected[inside] = source.reshape(boxes[0])[inside]
    np.testing.assert_array_equal(target.reshape(boxes[1]), expected)
    if boxes[0] == boxes[1] == shape:
        assert len(runs) == 1


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_taking_rows(rows):
    target = np.full(len(rows), -1)
    copy(np.arange(6) * 10, target, take_runs(np.array(rows)))
    np.testing.assert_array_equal(target, np.array(rows) * 10)


@pytest.mark.parametrize(
    ("rows", "copies"), [([0] * 64, 7), ([0, 1, 2, 3], 1), ([3, 3, 0, 1], 3), ([5], 1)]
)
def test_few_copies_take_many_rows(rows, copies):
    assert len(take_runs(np.array(rows))) == copies


@given(st.data())
def test_placing_the_rows_of_several_parts(data):
    mask = np.array(
        data.draw(
            st.integers(1, 5).flatmap(
                lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=1)
            )
        )
    )
    width = mask.shape[1] + data.draw(st.integers(0, 2))
    rows = np.arange(1, 1 + mask.sum())
    cut = data.draw(st.integers(0, len(rows)))
    target = np.zeros((len(mask), width), int)
    runs = list(place_runs(mask, width))
    for first, part in ((0, rows[:cut]), (cut, rows[cut:])):
        copy(part, target.reshape(-1), list(cut_runs(runs, first, len(part))))
    expected = np.zeros_like(target)
    expected[:, : mask.shape[1]][mask] = rows
    np.testing.assert_array_equal(target, expected)


@given(st.integers(1, 10_000), st.integers(0, 100))
def test_a_bucket_is_a_little_larger_at_most(size, room):
    found = round_up(size, size + room)
    assert size <= found <= min(size + room, size * 1.25)


def test_there_are_few_buckets():
    assert sorted({round_up(size, 64) for size in range(1, 65)}) == [
        *range(1, 9), 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64,
    ]  # fmt: skip
    assert len({round_up(size, 512) for size in range(3, 513)}) == 30
    ranges = {"segments": ShapeRange(1, 5, 9)}
    assert Buckets(ranges).of({"segments": 9}) == {"segments": 9}
    assert Buckets({"tokens": ShapeRange(3, 32, 128)}, exact=True).of({"tokens": 33}) == {
        "tokens": 33
    }
