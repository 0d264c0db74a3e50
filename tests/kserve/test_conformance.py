# SPDX-License-Identifier: Apache-2.0
"""What every backend must do, for kserve too: the suite of tests/unit/test_backends.py with a server, and without."""

from __future__ import annotations

import pytest
from visavis.backends import Detector, Waiting

from tests.kserve.conftest import SIZE, Asking
from tests.kserve.servers import Served, free_port
from tests.unit import test_backends
from tests.unit.test_backends import (
    test_a_detector_says_what_it_is,
    test_a_read_only_picture_is_left_alone,
    test_detections_can_be_sent_as_they_are,
    test_no_view_of_a_picture_is_kept,
    test_the_best_detection_comes_first,
    test_the_same_picture_gives_the_same_answer,
)

# Collected here with the `detector` below instead of theirs.
__all__ = [
    "test_a_detector_says_what_it_is",
    "test_a_read_only_picture_is_left_alone",
    "test_detections_can_be_sent_as_they_are",
    "test_no_view_of_a_picture_is_kept",
    "test_the_best_detection_comes_first",
    "test_the_same_picture_gives_the_same_answer",
]


@pytest.fixture(params=["http", "grpc", "nobody"])
def detector(request: pytest.FixtureRequest, kserve: Served, asking: Asking) -> Detector:
    alone = request.param == "nobody"
    return asking(f"http://127.0.0.1:{free_port()}" if alone else kserve.url(request.param))


def test_the_suite_uses_the_size_that_the_server_serves() -> None:
    assert test_backends.SIZE == SIZE


def test_the_worker_tells_it_how_long_an_answer_is_of_use(detector: Detector) -> None:
    assert isinstance(detector, Waiting)
