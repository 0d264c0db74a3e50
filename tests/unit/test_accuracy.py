# SPDX-License-Identifier: Apache-2.0
"""Counting hits: each marked face once, the best answer first."""

from __future__ import annotations

import numpy as np
import pytest
from visavis.detections import Detections, no_detections
from visavis.models.accuracy import accuracy, matched

MARKED = np.array([[0, 0, 10, 10], [20, 0, 30, 10]], np.float32)


def faces(*rows: tuple[float, float, float, float, float]) -> Detections:
    found = no_detections(len(rows))
    for index, row in enumerate(rows):
        for field, value in zip(("x1", "y1", "x2", "y2", "score"), row, strict=True):
            found[field][index] = value
    return found


def test_a_face_is_matched_once_by_the_best_that_covers_it() -> None:
    found = faces((0, 0, 10, 10, 0.9), (1, 0, 11, 10, 0.8), (20, 0, 30, 12, 0.7))
    assert matched(found, MARKED).tolist() == [True, False, True]


def test_less_than_half_of_the_union_is_no_match() -> None:
    assert matched(faces((0, 0, 10, 4.9, 0.9)), MARKED).tolist() == [False]
    assert matched(faces((0, 0, 10, 5.1, 0.9)), MARKED).tolist() == [True]


def test_recall_and_precision_count_what_reaches_the_score() -> None:
    found = faces((0, 0, 10, 10, 0.9), (50, 50, 60, 60, 0.8), (20, 0, 30, 10, 0.4))
    reached = accuracy([(found, MARKED)])
    assert (reached.labels, reached.found, reached.hits) == (2, 2, 1)
    assert (reached.recall, reached.precision) == (0.5, 0.5)


def test_average_precision_is_the_area_under_the_curve() -> None:
    right_wrong_right = faces((0, 0, 10, 10, 0.9), (50, 50, 60, 60, 0.8), (20, 0, 30, 10, 0.4))
    assert accuracy([(right_wrong_right, MARKED)]).average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert accuracy([(faces((50, 50, 60, 60, 0.8)), MARKED)]).average_precision == 0


def test_pictures_are_ranked_together() -> None:
    wrong, right = faces((50, 50, 60, 60, 0.95)), faces((0, 0, 10, 10, 0.9))
    reached = accuracy([(right, MARKED[:1]), (wrong, MARKED[:0])])
    assert reached.average_precision == pytest.approx(0.5)


def test_nothing_marked_and_nothing_found_is_no_error() -> None:
    reached = accuracy([(faces(), MARKED[:0])])
    assert (reached.recall, reached.precision, reached.average_precision) == (0, 0, 0)
