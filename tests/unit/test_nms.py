# SPDX-License-Identifier: Apache-2.0
"""Of boxes that overlap only the best stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from visavis.families.nms import Apart
from visavis.models.accuracy import overlaps

from tests.arrays import Array
from tests.unit.greedy import best_apart


def kept(boxes: Array, scores: Array, most: float) -> list[int]:
    """Indices of the boxes that stay, best first."""
    apart, stay = Apart(most), []
    for index in np.argsort(-scores, kind="stable").tolist():
        box = boxes[index].tolist()
        if not apart.covers(*box):
            apart.add(*box)
            stay.append(index)
    return stay


def test_the_best_of_two_that_overlap_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]], np.float32)
    assert kept(boxes, np.array([0.6, 0.9, 0.7], np.float32), 0.3) == [1, 2]


def test_boxes_that_only_touch_both_stay() -> None:
    boxes = np.array([[0, 0, 10, 10], [10, 0, 20, 10], [0, 10, 10, 20]], np.float32)
    assert kept(boxes, np.array([0.6, 0.9, 0.7], np.float32), 0.0) == [1, 2, 0]


def test_the_overlap_that_was_asked_for_is_enough() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 5]], np.float32)
    assert kept(boxes, np.array([0.9, 0.6], np.float32), 0.5) == [0]
    assert kept(boxes, np.array([0.9, 0.6], np.float32), 0.51) == [0, 1]


def crowd(count: int, widest: float) -> tuple[Array, Array]:
    chance = np.random.default_rng(3)
    corners = chance.uniform(0, 300, (count, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + chance.uniform(5, widest, (count, 2)).astype(np.float32)], axis=1)
    return boxes, chance.permutation(count).astype(np.float32)


@pytest.mark.parametrize("widest", [10, 40, 250])
def test_of_a_crowd_those_stay_that_stay_one_after_another(widest: float) -> None:
    boxes, scores = crowd(300, widest)
    stay = kept(boxes, scores, 0.3)
    assert 16 < len(stay) < 300
    assert stay == best_apart(boxes, scores, 0.3)


@given(st.lists(st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(1, 30)] * 2, st.integers(1, 100)), max_size=40))
def test_no_two_that_stay_overlap_and_every_one_that_goes_has_a_better_one(rows: list[tuple[int, ...]]) -> None:
    table = np.array(rows, np.float32).reshape(-1, 5)
    boxes = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], axis=1)
    scores = table[:, 4]
    stay = kept(boxes, scores, 0.3)
    for index in range(len(boxes)):
        shares = [(other, overlaps(boxes[index], boxes[[other]])[0]) for other in stay if other != index]
        if index in stay:
            assert all(value < 0.3 + 1e-5 for _, value in shares)
        else:
            assert any(value >= 0.3 - 1e-5 and scores[other] >= scores[index] for other, value in shares)
