# SPDX-License-Identifier: Apache-2.0
"""The table of backends: each does what every backend must, and what is not in it is refused."""

from __future__ import annotations

import sys
from typing import NoReturn

import pytest
from visavis.backends import AUTOMATIC, BACKENDS, Detector, load_detector
from visavis.errors import ModelError
from visavis.settings import DetectorSettings

from tests.unit.detector_conformance import SIZE, DetectorConformance


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


class TestEachBackend(DetectorConformance):
    """All that can run here, but kserve, which needs a server: tests/kserve/test_conformance.py."""


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


def test_a_signal_while_a_library_loads_is_no_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """As pybind11 tells of it."""

    def interrupted(_: DetectorSettings) -> NoReturn:
        raise ImportError("initialization failed") from KeyboardInterrupt()

    monkeypatch.setitem(BACKENDS, "onnxruntime", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_detector(DetectorSettings(backend="onnxruntime"))
