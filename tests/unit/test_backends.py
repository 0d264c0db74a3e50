# SPDX-License-Identifier: Apache-2.0
"""What every backend must do: one suite over the table of backends."""

from __future__ import annotations

import gc
import sys

import numpy as np
import pytest
from visavis.backends import AUTOMATIC, BACKENDS, Detector, load_detector
from visavis.detections import Frame, sendable
from visavis.errors import ModelError
from visavis.ring_gen import DETECTION_DTYPE
from visavis.settings import DetectorSettings

SIZE = (320, 256)


def picture(width: int, height: int) -> Frame:
    """A read-only picture of smooth colours, the same each time."""
    y, x, c = np.mgrid[:height, :width, :3]
    made: Frame = ((x * 3 + y * 2 + c * 50) % 256).astype(np.uint8)
    made.setflags(write=False)
    return made


# The backend kserve goes through this suite in tests/kserve/test_conformance.py, where there is a server.
@pytest.fixture(params=sorted(BACKENDS.keys() - {"kserve"}), scope="module")
def detector(request: pytest.FixtureRequest) -> Detector:
    model = "fake" if request.param == "fake" else DetectorSettings().model
    settings = DetectorSettings(
        backend=request.param, model=model, input_width=SIZE[0], input_height=SIZE[1], fake_service_ms=0
    )
    try:
        made = load_detector(settings)
        made.warm_up()
    except ModelError as error:
        pytest.skip(f"{request.param} cannot run here: {error}")
    return made


def test_a_detector_says_what_it_is(detector: Detector) -> None:
    assert detector.name in BACKENDS
    assert detector.model_id
    assert detector.input_size == SIZE
    assert detector.precision == {"fake": "", "kserve": "", "onnxruntime": "fp32", "tensorrt": "fp16"}[detector.name]


def test_detections_can_be_sent_as_they_are(detector: Detector) -> None:
    found = detector.detect(picture(*SIZE))
    assert found.dtype == DETECTION_DTYPE
    assert sendable(found, 10_000) == found.tobytes()


def test_a_read_only_picture_is_left_alone(detector: Detector) -> None:
    frame = picture(*SIZE)
    before = frame.copy()
    detector.detect(frame)
    np.testing.assert_array_equal(frame, before)


def test_no_view_of_a_picture_is_kept(detector: Detector) -> None:
    frame = picture(*SIZE)
    holders = sys.getrefcount(frame)
    found = detector.detect(frame)
    gc.collect()
    assert sys.getrefcount(frame) == holders
    assert not np.shares_memory(found, frame)


def test_the_same_picture_gives_the_same_answer(detector: Detector) -> None:
    first, second = detector.detect(picture(*SIZE)), detector.detect(picture(*SIZE))
    np.testing.assert_array_equal(first, second)


def test_the_best_detection_comes_first(detector: Detector) -> None:
    scores = detector.detect(picture(*SIZE))["score"].tolist()
    assert scores == sorted(scores, reverse=True)


def test_an_unknown_backend_is_refused_with_the_choice() -> None:
    with pytest.raises(ModelError, match=r"choose from auto, onnxruntime"):
        load_detector(DetectorSettings(backend="abacus"))


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (DetectorSettings(model="nosuch"), "no model is called 'nosuch'"),
        (DetectorSettings(input_width=641), "centerface cannot take 641x480: use multiples of 32"),
    ],
)
def test_a_wrong_setting_is_told_as_such_and_not_as_a_gpu_that_nobody_has(settings: DetectorSettings, why: str) -> None:
    with pytest.raises(ModelError, match=r"detector\.model, detector\.input") as refused:
        load_detector(settings)
    assert why in str(refused.value)
    assert "pycuda" not in str(refused.value)


def test_auto_never_takes_the_fake() -> None:
    assert "fake" in BACKENDS
    assert "fake" not in AUTOMATIC


def test_the_model_file_is_not_kept_in_memory() -> None:
    from visavis.backends.onnxruntime import OnnxRuntime  # noqa: PLC0415
    from visavis.models.cache import prepared_model  # noqa: PLC0415

    model = prepared_model(DetectorSettings().model, *SIZE)
    before = sys.getrefcount(model.content)
    detector = OnnxRuntime(DetectorSettings(input_width=SIZE[0], input_height=SIZE[1]), model)
    detector.warm_up()
    after = sys.getrefcount(model.content)  # not inside the assertion, which holds what it compares
    assert after == before
