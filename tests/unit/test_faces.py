# SPDX-License-Identifier: Apache-2.0
"""From candidates to the faces that are answered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from visavis.detections import Detections, boxes_of
from visavis.families.faces import FEW, MOST_CANDIDATES, Faces, above, best_first
from visavis.models.accuracy import overlaps

from tests.arrays import Array
from tests.unit.greedy import best_apart

Box = tuple[float, float, float, float]
BOXES: list[Box] = [(1, 2, 11, 12), (20, 20, 30, 30), (21, 20, 31, 30)]
SCORES = (0.6, 0.7, 0.9)
LIMIT = (40, 40)
BAD = [float("nan"), float("inf"), float("-inf")]


def faces(boxes: list[Box], scores: Sequence[float] = SCORES, iou: float = 0.3) -> Detections:
    found = Faces(LIMIT, iou)
    for score, box in best_first(zip(scores, boxes, strict=True)):
        if found.takes(*box):
            found.add(score, box, None)
    return found.detections()


def test_the_best_comes_first_and_what_it_covers_is_gone() -> None:
    found = faces(BOXES)
    assert boxes_of(found).tolist() == [[21, 20, 31, 30], [1, 2, 11, 12]]
    assert found["score"].tolist() == pytest.approx([0.9, 0.6])


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("where", range(4))
def test_a_box_that_is_not_finite_is_left_out(value: float, where: int) -> None:
    x1, y1, x2, y2 = (value if at == where else number for at, number in enumerate(BOXES[0]))
    assert boxes_of(faces([(x1, y1, x2, y2), *BOXES[1:]])).tolist() == [[21, 20, 31, 30]]


def test_a_score_that_is_not_finite_is_left_out() -> None:
    assert boxes_of(faces(BOXES, (0.6, 0.7, float("inf")))).tolist() == [[20, 20, 30, 30], [1, 2, 11, 12]]


@pytest.mark.parametrize("value", BAD)
def test_a_face_whose_landmarks_are_not_finite_is_left_out_and_hides_no_other(value: float) -> None:
    found = Faces(LIMIT, 0.3)
    found.add(0.9, (21, 20, 31, 30), [value, *[25.0] * 9])
    assert found.takes(20, 20, 30, 30)
    found.add(0.7, (20, 20, 30, 30), [3.0, *[25.0] * 9])
    answer = found.detections()
    assert boxes_of(answer).tolist() == [[20, 20, 30, 30]]
    assert answer["landmarks"][0].ravel().tolist() == [3.0, *[25.0] * 9]
    assert answer["flags"].tolist() == [1]


def test_landmarks_far_outside_are_brought_in() -> None:
    found = Faces(LIMIT, 0.3)
    found.add(0.9, (1, 1, 9, 9), [-3e38, 3e38, *[5.0] * 8])
    assert found.detections()["landmarks"][0].ravel().tolist() == [-1e5, 1e5, *[5.0] * 8]


def test_a_box_is_cut_at_the_border_and_one_outside_is_left_out() -> None:
    assert boxes_of(faces([(-5, 30, 10, 50), (50, 50, 60, 60), (-9, -9, 0, 5)])).tolist() == [[0, 30, 10, 40]]


def test_boxes_of_absurd_size_hide_no_others() -> None:
    assert faces([(-3e38, -3e38, 3e38, 3e38), (1, 1, 5, 5), (-3e38, 0, 3e38, 3e38)]).size == 2


def test_of_scores_the_places_above_the_least_are_found() -> None:
    assert above(np.array([0.5, 0.6, np.nan, 0.4, 0.51, np.inf], np.float32), 0.5) == [1, 4, 5]


def test_of_too_many_candidates_the_best_are_kept() -> None:
    scores = np.linspace(0.6, 0.9, MOST_CANDIDATES + 100, dtype=np.float32)
    assert sorted(above(scores, 0.5)) == list(range(100, MOST_CANDIDATES + 100))


def test_a_box_that_float32_would_make_a_line_is_none() -> None:
    assert faces([(39.99999999, 4, 50, 12), (4, -8, 12, 1e-12), (4, 4, 12, 12)]).size == 1


def kept(boxes: Array, scores: Array, most: float) -> list[int]:
    """Indices of the boxes that stay, best first."""
    found, stay = Faces((640, 640), most), []
    for index in np.argsort(-scores, kind="stable").tolist():
        x1, y1, x2, y2 = boxes[index].tolist()
        if found.takes(x1, y1, x2, y2):
            found.add(scores[index], (x1, y1, x2, y2), None)
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
    assert FEW < len(stay) < 300
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
