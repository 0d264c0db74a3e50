# SPDX-License-Identifier: Apache-2.0
"""From candidates to the faces that are answered."""

from __future__ import annotations

import numpy as np
import pytest
from visavis.detections import Detections
from visavis.families.faces import MOST_CANDIDATES, Candidate, above, best_first, faces_of

from tests.arrays import Array

Box = tuple[float, float, float, float]
BOXES: list[Box] = [(1, 2, 11, 12), (20, 20, 30, 30), (21, 20, 31, 30)]
SCORES = (0.6, 0.7, 0.9)
LIMIT = (40, 40)
BAD = [float("nan"), float("inf"), float("-inf")]


def corners(found: Array) -> list[list[float]]:
    return [[float(face[side]) for side in ("x1", "y1", "x2", "y2")] for face in found]


def faces(boxes: list[Box], scores: tuple[float, ...] = SCORES, iou: float = 0.3) -> Detections:
    candidates: list[Candidate] = [(score, *box, None) for score, box in zip(scores, boxes, strict=True)]
    return faces_of(best_first(candidates), None, LIMIT, iou)


def test_the_best_comes_first_and_what_it_covers_is_gone() -> None:
    found = faces(BOXES)
    assert corners(found) == [[21, 20, 31, 30], [1, 2, 11, 12]]
    assert found["score"].tolist() == pytest.approx([0.9, 0.6])


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("where", range(4))
def test_a_box_that_is_not_finite_is_left_out(value: float, where: int) -> None:
    x1, y1, x2, y2 = (value if at == where else number for at, number in enumerate(BOXES[0]))
    assert corners(faces([(x1, y1, x2, y2), *BOXES[1:]])) == [[21, 20, 31, 30]]


def test_a_score_that_is_not_finite_is_left_out() -> None:
    assert corners(faces(BOXES, (0.6, 0.7, float("inf")))) == [[20, 20, 30, 30], [1, 2, 11, 12]]


@pytest.mark.parametrize("value", BAD)
def test_a_face_whose_landmarks_are_not_finite_is_left_out_and_hides_no_other(value: float) -> None:
    candidates: list[Candidate] = [(0.9, 21, 20, 31, 30, value), (0.7, 20, 20, 30, 30, 3.0)]
    found = faces_of(candidates, lambda one: [one[5], *[25.0] * 9], LIMIT, 0.3)
    assert corners(found) == [[20, 20, 30, 30]]
    assert found["landmarks"][0].ravel().tolist() == [3.0, *[25.0] * 9]
    assert found["flags"].tolist() == [1]


def test_landmarks_far_outside_are_brought_in() -> None:
    found = faces_of([(0.9, 1, 1, 9, 9, None)], lambda _: [-3e38, 3e38, *[5.0] * 8], LIMIT, 0.3)
    assert found["landmarks"][0].ravel().tolist() == [-1e5, 1e5, *[5.0] * 8]


def test_a_box_is_cut_at_the_border_and_one_outside_is_left_out() -> None:
    assert corners(faces([(-5, 30, 10, 50), (50, 50, 60, 60), (-9, -9, 0, 5)])) == [[0, 30, 10, 40]]


def test_boxes_of_absurd_size_hide_no_others() -> None:
    assert faces([(-3e38, -3e38, 3e38, 3e38), (1, 1, 5, 5), (-3e38, 0, 3e38, 3e38)]).size == 2


def test_of_scores_the_places_above_the_least_are_found() -> None:
    assert above(np.array([0.5, 0.6, np.nan, 0.4, 0.51, np.inf], np.float32), 0.5) == [1, 4, 5]


def test_of_too_many_candidates_the_best_are_kept() -> None:
    scores = np.linspace(0.6, 0.9, MOST_CANDIDATES + 100, dtype=np.float32)
    assert sorted(above(scores, 0.5)) == list(range(100, MOST_CANDIDATES + 100))


def test_a_box_that_float32_would_make_a_line_is_none() -> None:
    assert faces([(39.99999999, 4, 50, 12), (4, -8, 12, 1e-12), (4, 4, 12, 12)]).size == 1
