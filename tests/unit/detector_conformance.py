# SPDX-License-Identifier: Apache-2.0
"""What every backend must do: one suite, which each backend's tests inherit beside a `detector` of their own."""

from __future__ import annotations

import gc
import sys

import numpy as np
from visavis.backends import BACKENDS, Detector
from visavis.detections import Frame, sendable
from visavis.pictures import letterboxed
from visavis.ring_gen import DETECTION_DTYPE

from tests.unit.face_pictures import gocv_pictures

SIZE = (320, 256)


def four_faces() -> Frame:
    """A read-only picture that shows one person four times, each a little better or worse to be seen."""
    one, _ = letterboxed(gocv_pictures()["face.jpg"], (SIZE[0] // 2, SIZE[1] // 2))
    made: Frame = np.tile(one, (2, 2, 1))
    made.setflags(write=False)
    return made


class DetectorConformance:
    """A class of tests that inherits this is asked for nothing but the fixture `detector`, of `SIZE`."""

    def test_a_detector_says_what_it_is(self, detector: Detector) -> None:
        assert detector.name in BACKENDS
        assert detector.model_id
        assert detector.input_size == SIZE
        assert (
            detector.precision == {"fake": "", "kserve": "", "onnxruntime": "fp32", "tensorrt": "fp16"}[detector.name]
        )

    def test_detections_can_be_sent_as_they_are(self, detector: Detector) -> None:
        found = detector.detect(four_faces())
        assert len(found) > 0
        assert found.dtype == DETECTION_DTYPE
        assert sendable(found, 10_000) == found.tobytes()

    def test_a_read_only_picture_is_left_alone(self, detector: Detector) -> None:
        frame = four_faces()
        before = frame.copy()
        detector.detect(frame)
        np.testing.assert_array_equal(frame, before)

    def test_no_view_of_a_picture_is_kept(self, detector: Detector) -> None:
        frame = four_faces()
        holders = sys.getrefcount(frame)
        found = detector.detect(frame)
        gc.collect()
        assert sys.getrefcount(frame) == holders
        assert not np.shares_memory(found, frame)

    def test_the_same_picture_gives_the_same_answer(self, detector: Detector) -> None:
        first, second = detector.detect(four_faces()), detector.detect(four_faces())
        np.testing.assert_array_equal(first, second)

    def test_the_best_detection_comes_first(self, detector: Detector) -> None:
        scores = detector.detect(four_faces())["score"].tolist()
        assert len(set(scores)) == (1 if detector.name == "fake" else 4)
        assert scores == sorted(scores, reverse=True)
