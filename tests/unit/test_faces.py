# SPDX-License-Identifier: Apache-2.0
"""From candidates to the faces that are answered."""

from __future__ import annotations

import numpy as np
import pytest
from visavis.families.faces import faces_of, places

from tests.arrays import Array

BOXES = np.array([[1, 2, 11, 12], [20, 20, 30, 30], [21, 20, 31, 30]], np.float32)
SCORES = np.array([0.6, 0.7, 0.9], np.float32)
LIMIT = (40, 40)


def corners(found: Array) -> list[list[float]]:
    return [[float(face[side]) for side in ("x1", "y1", "x2", "y2")] for face in found]


def test_the_best_comes_first_and_what_it_covers_is_gone() -> None:
    found = faces_of(BOXES, SCORES, None, LIMIT, 0.3)
    assert corners(found) == [[21, 20, 31, 30], [1, 2, 11, 12]]
    assert found["score"].tolist() == pytest.approx([0.9, 0.6])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", range(5))
def test_a_candidate_that_is_not_finite_is_left_out(value: float, where: int) -> None:
    boxes, scores = BOXES.copy(), SCORES.copy()
    if where < 4:
        boxes[0, where] = value
    else:
        scores[0] = value
    assert corners(faces_of(boxes, scores, None, LIMIT, 0.3)) == [[21, 20, 31, 30]]


def test_a_box_is_cut_at_the_border_and_one_outside_is_left_out() -> None:
    boxes = np.array([[-5, 30, 10, 50], [50, 50, 60, 60], [-9, -9, 0, 5]], np.float32)
    assert corners(faces_of(boxes, SCORES, None, LIMIT, 0.3)) == [[0, 30, 10, 40]]


def test_boxes_of_absurd_size_hide_no_others() -> None:
    boxes = np.array([[-3e38, -3e38, 3e38, 3e38], [1, 1, 5, 5], [-3e38, 0, 3e38, 3e38]], np.float32)
    assert faces_of(boxes, SCORES, None, LIMIT, 0.3).size == 2


def test_places_go_row_after_row() -> None:
    assert places(2, 3).tolist() == [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]]
