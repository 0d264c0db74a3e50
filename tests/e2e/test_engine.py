# SPDX-License-Identifier: Apache-2.0
"""What is told about TensorRT: that it was asked for and cannot be had, and how far the build of an engine is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser
from visavis.engines.note import EngineNote, Progress, note_path

from tests.e2e.clients import metrics
from tests.e2e.conftest import RunningAppliance, running
from tests.e2e.test_appliance import DEMO, schema
from tests.e2e.test_page import browser, keep_picture, opened
from tests.waiting import until

__all__ = ["browser"]
SENTENCE = (
    "workers => import('/engine.js').then(page => page.sentence({ model: 'm', precision: '', percent: 7 }, workers))"
)
GPU_BY_NAME = DEMO + '[detector]\nbackend = "tensorrt"\ninput = [320, 256]\n'


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    """It was told to use the GPU, and no test machine has the libraries for that."""
    with running(tmp_path_factory.mktemp("gpu"), GPU_BY_NAME) as started:
        yield started


def info_of(appliance: RunningAppliance) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(appliance.messages("visavis/box/info", 1)[0])
    jsonschema.validate(found, schema("info"))
    return found


def test_without_a_gpu_the_worker_goes_on_on_the_cpu_and_everybody_is_told(
    appliance: RunningAppliance, browser: Browser
) -> None:
    until(lambda: "engine" in appliance.status(), "nothing is told of the engine")
    status = appliance.status()
    jsonschema.validate(status, schema("status"))
    worker = status["workers"][0]
    assert (worker["backend"], worker["precision"], worker["fallback"]) == ("onnxruntime", "fp32", True)
    assert metrics(appliance, "visavis_workers_fallback") == {"": 1}
    assert status["engine"]["state"] == "failed"
    assert status["engine"]["error"].startswith("TensorRT cannot be used here, ")
    assert "pip install tensorrt-cu13 pycuda" in status["engine"]["error"]
    until(lambda: info_of(appliance)["fallback"], lambda: f"info does not say so: {info_of(appliance)}")
    assert (info_of(appliance)["backend"], info_of(appliance)["precision"]) == ("onnxruntime", "fp32")
    until(lambda: info_of(appliance)["engine"]["error"] == status["engine"]["error"], "info tells another reason")
    page, complaints = opened(browser, appliance, 1280, 800)
    until(lambda: "so worker-1 works on the CPU" in page.inner_text("#problems"), "the page does not say so")
    assert "pip install tensorrt-cu13 pycuda" in page.inner_text("#problems")
    assert "centerface on onnxruntime in fp32" in page.inner_text("#parts")
    assert complaints == []
    until(lambda: "worker-1 failed on the GPU 3 times in a row: it goes on with onnxruntime" in log(appliance), "why")
    assert log(appliance).count("worker-1: gpu_unusable: TensorRT cannot be used here") == 3


def log(appliance: RunningAppliance) -> str:
    return appliance.log.read_text()


def test_the_build_of_an_engine_is_seen_everywhere_until_it_ends(appliance: RunningAppliance, browser: Browser) -> None:
    (folder,) = appliance.file.parent.glob("visavis-*")
    note = EngineNote(note_path(folder / "frames.sock"), "centerface", "fp16")
    page, complaints = opened(browser, appliance, 360, 740)
    with Progress(note, lambda _fraction, _phase: True) as report:
        report(0.42, "Timing layers")
        until(lambda: page.is_visible("#engine progress"), "the page shows no bar")
        line = "TensorRT engine for centerface (fp16) is being built: 42 %, detection runs on onnxruntime meanwhile"
        assert page.inner_text("#engine p") == line
        assert "Timing layers, for " in page.inner_text("#engine small")
        assert page.eval_on_selector("#engine progress", "bar => bar.position") == pytest.approx(0.42)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        keep_picture(page, "engine.png")
        assert (
            page.evaluate(SENTENCE, [])
            == "TensorRT engine for m is being built: 7 %, detection starts when it is ready"
        )
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "one must scroll sideways"
        status = appliance.status()
        jsonschema.validate(status, schema("status"))
        assert (status["engine"]["percent"], status["engine"]["precision"]) == (42, "fp16")
        until(lambda: info_of(appliance)["engine"]["state"] == "building", "info does not tell the build")
        report(0.5, "Timing layers")
        until(lambda: "is being built: 50 %" in page.inner_text("#engine"), "the bar stands still")
    until(lambda: not page.is_visible("#engine"), "the bar stays")
    until(lambda: "engine" not in info_of(appliance), "info keeps the build")
    assert "engine" not in appliance.status()
    assert complaints == []
