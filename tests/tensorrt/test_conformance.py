# SPDX-License-Identifier: Apache-2.0
"""What every backend must do, for TensorRT too: the suite of tests/unit/test_backends.py on the double of a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from visavis.backends import Detector, cuda_driver, load_detector, tensorrt
from visavis.models.cache import prepared_model
from visavis.settings import DetectorSettings

from tests.tensorrt.double.pycuda import driver as cuda
from tests.tensorrt.gpu_double import DriverDouble, TensorRtDouble
from tests.unit.test_backends import (
    SIZE,
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


@pytest.fixture
def detector(trt: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Detector:
    cuda.reset()
    network = prepared_model("centerface", *SIZE, tmp_path).content
    driver = DriverDouble()
    monkeypatch.setattr(cuda_driver, "load_driver", lambda: driver)
    monkeypatch.setattr(tensorrt, "modules", lambda: (TensorRtDouble(trt, network), cuda))
    made = load_detector(
        DetectorSettings(backend="tensorrt", input_width=SIZE[0], input_height=SIZE[1], cache_dir=tmp_path)
    )
    made.warm_up()
    return made
