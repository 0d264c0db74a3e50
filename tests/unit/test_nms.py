# SPDX-License-Identifier: Apache-2.0
"""Of boxes that overlap only the best stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from visavis.bench.centerface import iou
from visavis.families.nms import nms


def test_the_best_of_two_that_overlap_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]], np.float32)
    assert nms(boxes, np.array([0.6, 0.9, 0.7], np.float32), 0.3).tolist() == [1, 2]


def test_boxes_that_only_touch_both_stay() -> None:
    boxes = np.array([[0, 0, 10, 10], [10, 0, 20, 10]], np.float32)
    assert nms(boxes, np.array([0.6, 0.9], np.float32), 0.3).tolist() == [1, 0]


def test_no_boxes_give_no_indices() -> None:
    assert nms(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), 0.3).size == 0


def test_many_boxes_give_what_one_after_another_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(3)
    corners = chance.uniform(0, 300, (900, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + chance.uniform(5, 40, (900, 2)).astype(np.float32)], axis=1)
    scores = chance.permutation(900).astype(np.float32)
    answers = []
    for table in (1, 256, 10_000):
        monkeypatch.setattr("visavis.families.nms.TABLE", table)
        answers.append(nms(boxes, scores, 0.3).tolist())
    assert 100 < len(answers[0]) < 900
    assert answers[0] == answers[1] == answers[2]


@given(st.lists(st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(1, 30)] * 2, st.integers(1, 100)), max_size=40))
def test_no_two_that_stay_overlap_and_every_one_that_goes_has_a_better_one(rows: list[tuple[int, ...]]) -> None:
    table = np.array(rows, np.float32).reshape(-1, 5)
    boxes = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], axis=1)
    scores = table[:, 4]
    kept = nms(boxes, scores, 0.3)
    for index in range(len(boxes)):
        overlaps = [(other, iou(boxes[[other]], boxes[index])[0]) for other in kept if other != index]
        if index in kept:
            assert all(value < 0.3 + 1e-5 for _, value in overlaps)
        else:
            assert any(value >= 0.3 - 1e-5 and scores[other] >= scores[index] for other, value in overlaps)
