# SPDX-License-Identifier: Apache-2.0
"""What every backend must do, for TensorRT too: tests/unit/detector_conformance.py on the double of a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from visavis.backends import Detector, cuda_driver, load_detector, tensorrt
from visavis.models.cache import prepared_model
from visavis.settings import DetectorSettings

from tests.tensorrt.double.pycuda import driver as cuda
from tests.tensorrt.gpu_double import DriverDouble, TensorRtDouble
from tests.unit.detector_conformance import SIZE, DetectorConformance


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


class TestTensorRt(DetectorConformance):
    """On the double of a GPU."""
