# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from visavis.detections import SIDES, checked, no_detections
from visavis.errors import BadDetections


def test_no_detections_are_an_answer() -> None:
    assert checked(no_detections(), 10).size == 0


def test_good_detections_are_sent_as_they_are() -> None:
    found = no_detections(3)
    assert checked(found, 3) is found


def test_the_best_are_kept_when_there_are_too_many() -> None:
    found = no_detections(5)
    found["score"] = [0.1, 0.9, 0.5, 0.9, 0.7]
    found["x1"] = range(5)
    assert checked(found, 3)["x1"].tolist() == [1, 3, 4]


@pytest.mark.parametrize(
    "answer", [None, [], np.zeros(3), np.zeros((2, 16), np.float32), no_detections(4).reshape(2, 2)]
)
def test_another_type_or_shape_is_refused(answer: object) -> None:
    with pytest.raises(BadDetections, match="must be \\(n,\\) of DETECTION_DTYPE"):
        checked(answer, 10)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("field", ["x1", "y1", "x2", "y2", "score", "landmarks"])
def test_a_number_that_is_not_finite_is_refused(field: str, number: float) -> None:
    found = no_detections(2)
    found[field][1] = number
    with pytest.raises(BadDetections, match=field):
        checked(found, 10)


def test_flags_that_look_like_no_number_are_fine() -> None:
    found = no_detections(1)
    found["class_id"], found["flags"] = 0xFFFF, 0xFFFF
    assert checked(found, 10) is found


def test_the_four_sides_of_all_faces_are_set_at_once() -> None:
    found = no_detections(2)
    found.view(SIDES)["sides"] = [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert [found[side].tolist() for side in ("x1", "y1", "x2", "y2")] == [[1, 5], [2, 6], [3, 7], [4, 8]]
    assert not found["score"].any()
    assert not found["landmarks"].any()
