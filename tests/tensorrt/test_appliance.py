# SPDX-License-Identifier: Apache-2.0
"""The whole appliance while its first engine is built: real daemon, broker and builder; only the GPU is a double.

With VISAVIS_TEST_GPU=real that is real too, where there is one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from visavis.models.cache import prepared_model

from tests.e2e.conftest import RunningAppliance
from tests.e2e.test_appliance import schema
from tests.tensorrt import core
from tests.waiting import until

DEMO = """
[device]
id = "box"
[web]
listen = "127.0.0.1:{http_port}"
[mqtt]
url = "managed"
[detector]
input = [320, 256]
workers = 2
[[camera]]
id = "demo"
source = "demo:"
size = [640, 480]
"""
SIZE = (320, 256)
GATE = "build-goes-on"
BUILT_S = 600 if core.REAL_GPU else 90


@pytest.fixture
def appliance(real_core: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningAppliance]:
    """`visavis run` on a machine with TensorRT and (a double of) a GPU, and no engine yet."""
    network = tmp_path / "network.onnx"
    network.write_bytes(prepared_model("centerface", *SIZE, tmp_path).content)
    gate = str(tmp_path / GATE)
    more = {"VISAVIS_TEST_NETWORK": str(network), "VISAVIS_TEST_BUILD_GATE": gate, "VISAVIS_CACHE_DIR": str(tmp_path)}
    for name, value in core.environment(**more).items():
        monkeypatch.setenv(name, value)
    running = RunningAppliance(tmp_path, DEMO)
    yield running
    if running.process.poll() is None:
        running.stop()


def workers(appliance: RunningAppliance) -> list[str]:
    return sorted(f"{worker['model']} on {worker['backend']}" for worker in appliance.status()["workers"])


def info_of(appliance: RunningAppliance) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(appliance.messages("visavis/box/info", 1)[0])
    jsonschema.validate(found, schema("info"))
    return found


def let_build(appliance: RunningAppliance) -> None:
    (appliance.file.parent / GATE).touch()


def log_of(appliance: RunningAppliance) -> Callable[[], str]:
    return lambda: f"{workers(appliance)}: {appliance.log.read_text()[-3_000:]}"


def test_the_first_engine_comes_while_onnxruntime_serves_and_no_frame_is_lost(appliance: RunningAppliance) -> None:
    appliance.wait_ready()
    until(lambda: workers(appliance) == ["centerface on onnxruntime"] * 2, log_of(appliance), 60)
    building = until(lambda: appliance.status().get("engine"), log_of(appliance), 60)
    assert (building["state"], building["model"], building["precision"]) == ("building", "centerface", "fp16")
    before = appliance.camera("demo")["frames"]["inferred"]
    until(lambda: appliance.camera("demo")["frames"]["inferred"] > before, log_of(appliance))
    let_build(appliance)
    until(lambda: workers(appliance) == ["centerface on tensorrt"] * 2, log_of(appliance), BUILT_S)
    changed = appliance.camera("demo")["frames"]["inferred"]
    until(lambda: appliance.camera("demo")["frames"]["inferred"] > changed + 10, log_of(appliance))
    frames = appliance.camera("demo")["frames"]
    parts = frames["inferred"] + frames["in_flight"] + sum(frames["dropped"].values())
    assert frames["captured"] == parts
    assert frames["dropped"]["abandoned"] == 0, "a frame was in the hands of a worker that was stopped"
    assert "the engine is ready" in appliance.log.read_text()
    assert "engine" not in appliance.status()
    assert {worker["precision"] for worker in appliance.status()["workers"]} == {"fp16"}


def test_info_and_detections_follow_the_change(appliance: RunningAppliance) -> None:
    appliance.wait_ready()
    until(lambda: info_of(appliance).get("engine", {}).get("state") == "building", log_of(appliance), 60)
    let_build(appliance)
    until(lambda: info_of(appliance)["backend"] == "tensorrt", lambda: str(info_of(appliance)), BUILT_S)
    until(lambda: "engine" not in info_of(appliance), lambda: str(info_of(appliance)))
    assert (info_of(appliance)["precision"], info_of(appliance)["fallback"]) == ("fp16", False)
    # The demo shows nobody for 150 frames on end.
    found = [json.loads(line) for line in appliance.messages("visavis/box/demo/detections", 200, 120)]
    assert any(message["faces"] for message in found)
    assert appliance.stop() == 0
