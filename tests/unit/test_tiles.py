# SPDX-License-Identifier: Apache-2.0
"""Parts of large pictures, and what is told of faces that several of them show."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from visavis.detections import Detections, no_detections
from visavis.tiles import SHARED, apart, parts_of

LONGEST = 1920


@pytest.mark.parametrize(("width", "height"), [(1921, 1), (3840, 2160), (7600, 5200), (66_000, 606), (10, 65_500)])
def test_parts_cover_the_picture_and_share_enough_for_a_face(width: int, height: int) -> None:
    parts = parts_of(width, height, LONGEST)
    shared = min(max(width, height) // SHARED, LONGEST // 2) - 1  # rounded
    for axis, length in ((0, height), (1, width)):
        cuts = sorted({(part[axis].start, part[axis].stop) for part in parts})
        assert cuts[0][0] == 0
        assert cuts[-1][1] == length
        assert all(stop - start <= LONGEST for start, stop in cuts)
        assert all(before[1] - after[0] >= shared for before, after in itertools.pairwise(cuts))
    assert sum((rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in parts) < (
        2.5 * width * height + 2 * LONGEST * min(width, height)
    )


def faces(*boxes: tuple[int, int, int, int, float]) -> Detections:
    found = no_detections(len(boxes))
    for face, box in zip(found, boxes, strict=True):
        face["x1"], face["y1"], face["x2"], face["y2"], face["score"] = box
    return found


def test_a_face_that_several_looks_found_is_told_once_and_whole() -> None:
    whole, beside = (100, 100, 200, 220, 0.6), (205, 100, 300, 220, 0.7)
    looks = [faces(whole), faces((150, 100, 200, 221, 0.9), beside), faces((101, 102, 199, 219, 0.8))]
    assert np.array_equal(apart(looks), faces(beside, whole))


def test_what_one_look_tells_apart_stays_apart() -> None:
    look = faces((0, 0, 100, 100, 0.9), (10, 10, 20, 20, 0.8))
    assert np.array_equal(apart([look]), look)
    assert np.array_equal(apart([look, faces((200, 200, 300, 300, 0.7))])[:2], look)
    assert apart([no_detections(), no_detections()]).size == 0
