# SPDX-License-Identifier: Apache-2.0
"""The whole appliance on real parts: demo source, ring, CenterFace, mosquitto, web."""

from __future__ import annotations

import itertools
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.e2e.clients import until_replaced, worker_ids
from tests.e2e.conftest import RunningAppliance, Start
from tests.standing_still import paused
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "contracts" / "schemas"
NEAR_PX = 10.0
# For what happens once in the demo's script: that takes 21 s, and longer where a busy machine misses frames.
SCRIPT_LIMIT_S = 90.0
DEMO = """
[device]
id = "box"
[web]
listen = "127.0.0.1:{http_port}"
[mqtt]
url = "managed"
[[camera]]
id = "demo"
source = "demo:"
size = [640, 480]
"""
WITHOUT_CAMERAS = DEMO.partition("[[camera]]")[0]
OVERLOAD = (
    DEMO.replace("size = [640, 480]", "size = [640, 480]\nfps = 90")
    + """
[[camera]]
id = "wide"
source = "demo:"
size = [1280, 720]
fps = 60
"""
)


@pytest.fixture(scope="module")
def truth() -> list[list[list[float]]]:
    """The boxes of the demo's faces, frame by frame, from the script that the source draws by."""
    command = ["go", "run", "./internal/testprogram/demotruth", "-width", "640", "-height", "480"]
    environment = {**os.environ, "CGO_ENABLED": "0"}
    answer = subprocess.run(command, cwd=ROOT / "go-capture", env=environment, capture_output=True, check=True)
    frames: list[list[list[float]]] = json.loads(answer.stdout)
    return frames


TOLD = 0.5  # detector.score; workers send less sure faces as well


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    return found


def assert_adds_up(payloads: list[dict[str, Any]]) -> None:
    for before, after in itertools.pairwise(payloads):
        step = after["frame"] - before["frame"]
        assert step == 1 + sum(after["dropped"].values()), f"{before['frame']} -> {after['frame']}: {after['dropped']}"


def assert_status_adds_up(appliance: RunningAppliance) -> None:
    for camera in appliance.status()["cameras"]:
        frames = camera["frames"]
        parts = frames["inferred"] + frames["in_flight"] + sum(frames["dropped"].values())
        assert frames["captured"] == parts, camera


def middle(box: list[float]) -> tuple[float, float]:
    return box[0] + box[2] / 2, box[1] + box[3] / 2


@pytest.mark.timeout(600)
def test_every_detection_is_where_the_face_is(start_appliance: Start, truth: list[list[list[float]]]) -> None:
    appliance = start_appliance(DEMO)
    appliance.wait_ready()
    # From here on its log takes no line more, as on a full disk: the next figures come before the last message below.
    _, most = resource.prlimit(appliance.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(appliance.process.pid, resource.RLIMIT_FSIZE, (0, most))
    shown = appliance.log.read_text().count("fps, inferred")
    payloads = [json.loads(line) for line in appliance.messages("visavis/box/demo/detections", 400, limit_s=400)]
    assert_adds_up(payloads)
    seen = 0
    for payload in payloads:
        jsonschema.validate(payload, schema("detections"))
        places = [middle(box) for box in truth[(payload["frame"] - 1) % len(truth)]]
        for face in payload["faces"]:
            assert face["score"] >= TOLD, payload
            x, y = middle(face["box"])
            assert any(abs(x - a) <= NEAR_PX and abs(y - b) <= NEAR_PX for a, b in places), (payload, places)
            seen += 1
    assert seen > 200
    jsonschema.validate(appliance.status(), schema("status"))
    assert appliance.log.read_text().count("fps, inferred") == shown, "there was room for its figures"
    assert appliance.stop() == 0
    assert not list(appliance.file.parent.glob("visavis-*")), "the run's own folder is left behind"


def test_a_crash_of_any_process_would_hold_no_memory(start_appliance: Start) -> None:
    appliance = start_appliance(DEMO, "--backend", "fake")
    appliance.wait_ready()
    for pid in (appliance.process.pid, daemon_pid(appliance), worker_pid(appliance)):
        assert int(Path(f"/proc/{pid}/coredump_filter").read_text(), 16) == 0


def test_faces_and_occupied_follow_the_script(start_appliance: Start) -> None:
    appliance = start_appliance(DEMO)
    appliance.wait_ready()
    states = appliance.messages("visavis/box/demo/occupied", 3)
    assert states in (["OFF", "ON", "OFF"], ["ON", "OFF", "ON"])
    counts = appliance.messages("visavis/box/demo/faces", 4)
    assert set(counts) <= {"0", "1", "2"}, counts
    assert all(abs(int(a) - int(b)) == 1 for a, b in itertools.pairwise(counts)), counts


def test_frames_add_up_under_overload_while_workers_are_killed(start_appliance: Start) -> None:
    appliance = start_appliance(OVERLOAD)
    appliance.wait_ready()
    for _ in range(5):
        before = worker_ids(appliance)
        os.kill(worker_pid(appliance), signal.SIGKILL)
        assert_status_adds_up(appliance)
        until_replaced(appliance, before)
        wait_for_more(appliance, "demo")
    for camera in ("demo", "wide"):
        payloads = [json.loads(line) for line in appliance.messages(f"visavis/box/{camera}/detections", 60)]
        assert_adds_up(payloads)
    assert_status_adds_up(appliance)
    assert sum(appliance.camera("demo")["frames"]["dropped"].values()) > 0


def test_frames_of_many_cameras_are_inferred_together_and_add_up(start_appliance: Start) -> None:
    """The fake takes as long for a batch as for one frame, so frames wait for it and the next batch is a full one."""
    cameras = "".join(f'[[camera]]\nid = "c{n}"\nsource = "demo:"\nsize = [640, 480]\nfps = 90\n' for n in range(4))
    appliance = start_appliance(WITHOUT_CAMERAS + "[worker]\ncredit = 4\n" + cameras, "--backend", "fake")
    appliance.wait_ready()
    until(lambda: appliance.status()["workers"][0]["batch"] > 2, lambda: str(appliance.status()["workers"]))
    assert_status_adds_up(appliance)
    assert_adds_up([json.loads(line) for line in appliance.messages("visavis/box/c0/detections", 60)])


def wait_for_more(appliance: RunningAppliance, camera: str) -> None:
    """Wait until the camera has more inferred frames than now."""
    before = appliance.camera(camera)["frames"]["inferred"]
    until(lambda: appliance.camera(camera)["frames"]["inferred"] > before, "the worker does nothing")


def worker_pid(appliance: RunningAppliance) -> int:
    """The worker among the children of this appliance's `visavis run`."""

    def find() -> int:
        command = ["pgrep", "-P", str(appliance.process.pid), "-f", "visavis.cli worker"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
        return int(answer[0]) if answer else 0

    return int(until(find, "there is no worker"))


@contextmanager
def without_a_worker(appliance: RunningAppliance) -> Iterator[None]:
    """Kill its only worker; `visavis run` is paused, so that it starts no other one while the block runs."""
    with paused(appliance.process.pid):
        os.kill(worker_pid(appliance), signal.SIGKILL)
        until(lambda: not worker_ids(appliance), "the worker stays")
        yield


def test_sighup_reloads_one_camera_and_leaves_the_other_alone(start_appliance: Start) -> None:
    appliance = start_appliance(DEMO)
    appliance.wait_ready()
    before = appliance.camera("demo")["frames"]["captured"]
    text = appliance.file.read_text()
    appliance.file.write_text(text + '[[camera]]\nid = "second"\nsource = "demo:"\nsize = [320, 240]\n')
    os.kill(daemon_pid(appliance), signal.SIGHUP)
    until(lambda: len(appliance.status()["cameras"]) == 2, "the second camera did not come")
    until(lambda: appliance.camera("second")["frames"]["inferred"] > 0, "the second camera infers nothing")
    until(lambda: appliance.camera("demo")["frames"]["captured"] > before, "the first camera has stopped")
    appliance.file.write_text(text)
    os.kill(daemon_pid(appliance), signal.SIGHUP)
    until(lambda: len(appliance.status()["cameras"]) == 1, "the second camera did not go")


def daemon_pid(appliance: RunningAppliance) -> int:
    return child_pid(appliance, "visavis-capture -config")


def child_pid(appliance: RunningAppliance, words: str) -> int:
    """The child of this appliance's `visavis run` whose command line holds these words."""
    command = ["pgrep", "-P", str(appliance.process.pid), "-f", words]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0])


def test_a_missing_camera_is_said_and_the_other_goes_on(start_appliance: Start) -> None:
    appliance = start_appliance(DEMO + '[[camera]]\nid = "gone"\nsource = "v4l2:/dev/video97"\n')
    appliance.wait_ready()
    gone = until(lambda: appliance.camera("gone") if appliance.camera("gone").get("error") else None, "no error")
    assert gone["state"] == "lost"
    assert "/dev/video97" in gone["error"]
    assert appliance.messages("visavis/box/gone/status", 1) == ["offline"]


@pytest.mark.parametrize("broken", sorted((ROOT / "contracts" / "config-broken").glob("*.toml")), ids=lambda p: p.stem)
def test_a_broken_configuration_names_line_and_key(broken: Path) -> None:
    command = [sys.executable, "-m", "visavis.cli", "check", str(broken)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert f"{broken.name}:" in answer.stderr


def test_a_taken_port_is_named_with_its_setting(start_appliance: Start) -> None:
    first = start_appliance(DEMO)
    first.wait_ready()
    environment = {**os.environ, "VISAVIS_HTTP_PORT": str(first.http_port), "VISAVIS_MQTT_PORT": str(first.mqtt_port)}
    command = [sys.executable, "-m", "visavis.cli", "run"]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)
    assert answer.returncode == 1
    assert "VISAVIS_HTTP_PORT" in answer.stderr
