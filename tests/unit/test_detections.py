# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from visavis.detections import no_detections, packed, sendable
from visavis.errors import BadDetections


def test_no_detections_are_an_answer() -> None:
    assert sendable(no_detections(), 10) == b""


def test_good_detections_are_sent_as_they_are() -> None:
    found = no_detections(3)
    found["x1"] = [1, 2, 3]
    assert sendable(found, 3) == found.tobytes()


def test_the_best_are_kept_when_there_are_too_many() -> None:
    found = no_detections(5)
    found["score"] = [0.1, 0.9, 0.5, 0.9, 0.7]
    found["x1"] = range(5)
    assert np.frombuffer(sendable(found, 3), found.dtype)["x1"].tolist() == [1, 3, 4]


@pytest.mark.parametrize(
    "answer", [None, [], np.zeros(3), np.zeros((2, 16), np.float32), no_detections(4).reshape(2, 2)]
)
def test_another_type_or_shape_is_refused(answer: object) -> None:
    with pytest.raises(BadDetections, match="must be \\(n,\\) of DETECTION_DTYPE"):
        sendable(answer, 10)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("field", ["x1", "y1", "x2", "y2", "score", "landmarks"])
def test_a_number_that_is_not_finite_is_refused(field: str, number: float) -> None:
    found = no_detections(2)
    found[field][1] = number
    with pytest.raises(BadDetections, match=field):
        sendable(found, 10)


def test_flags_that_look_like_no_number_are_fine() -> None:
    found = no_detections(1)
    found["class_id"], found["flags"] = 0xFFFF, 0xFFFF
    assert sendable(found, 10) == found.tobytes()


def test_packed_numbers_are_detections() -> None:
    found = packed([(1, 2, 3, 4, 0.5, 6, 7, *range(10)), (9, 8, 7, 6, 0.25, 0, 0, *[0] * 10)])
    assert found.dtype == no_detections().dtype
    assert [found[name].tolist() for name in ("x1", "y2", "score", "class_id", "flags")] == [
        [1, 9],
        [4, 6],
        [0.5, 0.25],
        [6, 0],
        [7, 0],
    ]
    assert found["landmarks"][0].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    found["x1"] = 5
    assert packed([]).size == 0
