# SPDX-License-Identifier: Apache-2.0
"""Commands over the real broker reach the real cameras: what they change, what they are refused for, what survives."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from visavis.client import Broker, Device, NotObeyed
from visavis.client.orders import set_and_wait

from tests.e2e.brokers import mosquitto, publish
from tests.e2e.conftest import RunningAppliance, Start, running
from tests.e2e.subscriber import Subscriber, subscribed, violation
from tests.e2e.test_appliance import DEMO, assert_adds_up, child_pid
from tests.e2e.test_gateway import photos
from tests.e2e.test_push import feed, frame_of
from tests.e2e.test_thumbnails import roughness_of_the_face
from tests.ports import free_port
from tests.repo.pages import blocks
from tests.waiting import HANG_S, until

RULES = 'snapshots = true\nprivacy_allowed = ["pixelate", "blur"]\n'
SNAPSHOT = "/api/v1/cameras/demo/snapshot.jpg"
MOSAIC_MOST = 4.0  # mean difference of a mosaic that went through JPEG


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    """One that pictures may leave, for tests that put back what they change."""
    with running(tmp_path_factory.mktemp("commands"), DEMO.replace('"box"', '"orders"') + RULES) as ready:
        yield ready


@pytest.fixture
def seen(appliance: RunningAppliance) -> Iterator[Subscriber]:
    with subscribed(appliance.mqtt_port, "visavis/#") as subscriber:
        until(lambda: state(subscriber, "score"), "the states are retained")
        yield subscriber
    sent = [message for message in subscriber.all() if "/set/" not in message.topic]
    assert [violation(message) for message in sent if violation(message)] == []


def order(appliance: RunningAppliance, name: str, payload: str, *words: str) -> None:
    publish(appliance.mqtt_port, f"visavis/orders/demo/set/{name}", payload, "-q", "1", *words)


def state(seen: Subscriber, name: str) -> str:
    told = seen.all(f"/demo/state/{name}")
    return told[-1].payload.decode() if told else ""


def obey(appliance: RunningAppliance, seen: Subscriber, name: str, payload: str) -> None:
    """Give an order and wait until it is echoed."""
    order(appliance, name, payload)
    until(lambda: state(seen, name) == payload, lambda: f"{name} is {state(seen, name)}, not {payload}")


def demo(appliance: RunningAppliance) -> dict[str, Any]:
    return appliance.camera("demo")


def test_detection_off_keeps_the_picture_and_every_frame_is_accounted_for(
    appliance: RunningAppliance, seen: Subscriber
) -> None:
    assert not blocky(appliance.get(SNAPSHOT))
    obey(appliance, seen, "detect", "OFF")
    until(lambda: blocky(appliance.get(SNAPSHOT)), "nobody looks for faces, so all is to be hidden")
    until(lambda: demo(appliance)["frames"]["in_flight"] == 0, "what was under way has ended")
    before, picture = demo(appliance), appliance.get(SNAPSHOT)
    until(lambda: appliance.get(SNAPSHOT) != picture, "pictures go on")
    assert blocky(appliance.get(SNAPSHOT)), "nobody looks for faces, and something is shown"
    after = demo(appliance)
    assert (after["state"], after["detect"], after["frames"]) == ("online", False, before["frames"])
    until(lambda: demo(appliance)["faces"] == 0, "who was there is not believed any more")
    obey(appliance, seen, "detect", "ON")
    newest = before["frames"]["captured"]
    until(lambda: newest_told(seen) > newest + 30, "detections go on")
    assert_adds_up([message.json() for message in seen.all("/detections")])


def newest_told(seen: Subscriber) -> int:
    """The newest frame of which detections have come; 0 before there is one."""
    return max((message.json()["frame"] for message in seen.all("/detections")), default=0)


def blocky(jpeg: bytes) -> bool:
    """Whether a picture is its own mosaic of seven blocks across."""
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    height, width = picture.shape[:2]
    blocks = cv2.resize(picture, (7, 7 * height // width), interpolation=cv2.INTER_AREA)
    mosaic = cv2.resize(blocks, (width, height), interpolation=cv2.INTER_NEAREST)
    return float(cv2.absdiff(picture, mosaic).mean()) < MOSAIC_MOST


def test_a_camera_that_is_switched_off_is_closed_and_comes_back(appliance: RunningAppliance, seen: Subscriber) -> None:
    obey(appliance, seen, "enabled", "OFF")
    until(lambda: seen.all("/demo/status")[-1].payload == b"offline", "the camera is told to be away")
    before = demo(appliance)
    assert before["state"] == "off"
    assert appliance.answers("/readyz"), "a camera that is not wanted makes nobody wait"
    obey(appliance, seen, "enabled", "ON")
    until(lambda: seen.all("/demo/status")[-1].payload == b"online", "the camera is back")
    until(lambda: demo(appliance)["frames"]["inferred"] > before["frames"]["inferred"], "frames go on")


def test_privacy_follows_where_it_is_allowed_and_nowhere_else(appliance: RunningAppliance, seen: Subscriber) -> None:
    obey(appliance, seen, "privacy", "blur")
    assert demo(appliance)["privacy"] == "blur"
    assert json.loads(appliance.get("/api/v1/cameras/demo"))["privacy"] == "blur"
    refused = refusals(appliance)
    order(appliance, "privacy", "none")
    until(lambda: refusals(appliance).get("not_allowed", 0) == refused.get("not_allowed", 0) + 1, "it is refused")
    assert (state(seen, "privacy"), demo(appliance)["privacy"]) == ("blur", "blur")
    obey(appliance, seen, "privacy", "pixelate")


def refusals(appliance: RunningAppliance) -> dict[str, int]:
    found: dict[str, int] = appliance.status()["broker"]["orders"]["refused"]
    return found


def test_a_score_decides_which_faces_are_told(appliance: RunningAppliance, seen: Subscriber) -> None:
    until(lambda: any(message.json()["faces"] for message in seen.all("/detections")), "faces are told")
    obey(appliance, seen, "score", "1")
    before = demo(appliance)["frames"]["captured"]  # of which some may be told after the order
    until(lambda: newest_told(seen) > before + 20, "frames go on")
    after = [told for message in seen.all("/detections") if (told := message.json())["frame"] > before]
    assert not any(told["faces"] for told in after)
    obey(appliance, seen, "score", "0.5")
    told = len(seen.all("/detections"))
    until(lambda: any(message.json()["faces"] for message in seen.all("/detections")[told:]), "faces are told again")


def test_a_score_that_tells_nobody_shows_nobody(start_appliance: Start) -> None:
    device = start_appliance(DEMO.replace('"box"', '"fed"').replace('"demo:"', '"push:"'))
    device.wait_ready()
    photo = photos()[0].read_bytes()
    with subscribed(device.mqtt_port, "visavis/fed/#") as seen, feed(device, "demo") as client:
        until(lambda: faces_after(seen, frame_of(client, photo)), "the face is told")
        publish(device.mqtt_port, "visavis/fed/demo/set/score", "1", "-q", "1")
        until(lambda: state(seen, "score") == "1", "the order is obeyed")
        assert faces_after(seen, frame_of(client, photo)) == []
        hidden, plain = roughness(device.get(SNAPSHOT)), roughness(photo)
    assert hidden < plain / 2


def faces_after(seen: Subscriber, frame: int) -> list[Any]:
    """The faces of a frame, once they are told."""

    def told() -> list[Any]:
        return [message.json() for message in seen.all("/detections") if message.json()["frame"] >= frame]

    faces: list[Any] = until(told, f"frame {frame} is inferred")[0]["faces"]
    return faces


def roughness(jpeg: bytes) -> float:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    return roughness_of_the_face(np.asarray(picture, np.uint8))


def test_a_snapshot_shows_what_viewers_see(appliance: RunningAppliance, seen: Subscriber) -> None:
    order(appliance, "snapshot", "press")
    until(lambda: seen.all("/demo/snapshot"), "a picture comes")
    picture = seen.all("/demo/snapshot")[-1]
    assert picture.payload[:3] == b"\xff\xd8\xff"


def test_orders_are_in_the_journal_with_what_held_before(appliance: RunningAppliance, seen: Subscriber) -> None:
    obey(appliance, seen, "score", "0.25")
    obey(appliance, seen, "score", "0.5")
    line = "topic=visavis/orders/demo/set/score from=0.25 to=0.5"
    until(lambda: line in appliance.log.read_text(), lambda: f"no {line!r} in {appliance.log.read_text()}")


def test_nonsense_changes_nothing_and_is_counted(appliance: RunningAppliance, seen: Subscriber) -> None:
    before = refusals(appliance)
    order(appliance, "detect", "maybe")
    order(appliance, "reboot", "ON")
    want = {**before, "malformed": before.get("malformed", 0) + 1, "unknown": before.get("unknown", 0) + 1}
    until(lambda: refusals(appliance) == want, lambda: f"{refusals(appliance)}, not {want}")
    assert (state(seen, "detect"), demo(appliance)["detect"]) == ("ON", True)


@pytest.mark.slow
def test_orders_survive_a_killed_daemon(start_appliance: Start) -> None:
    first = start_appliance(DEMO.replace('"box"', '"learned"'))
    first.wait_ready()
    publish(first.mqtt_port, "visavis/learned/demo/set/enabled", "OFF")
    until(lambda: first.camera("demo")["state"] == "off", "it is switched off")
    kept = Path(os.environ["VISAVIS_STATE_DIR"]) / "orders" / "learned.json"
    until(lambda: kept.exists() and '"enabled":false' in kept.read_text(), "it is written down")
    os.kill(child_pid(first, "visavis-capture"), signal.SIGKILL)
    first.process.wait(HANG_S)
    second = start_appliance(DEMO.replace('"box"', '"learned"'))
    second.wait_ready()
    assert second.camera("demo")["state"] == "off"
    publish(second.mqtt_port, "visavis/learned/demo/set/enabled", "ON")
    until(lambda: second.camera("demo")["frames"]["inferred"] > 0, "it delivers again")


def test_a_retained_picture_with_faces_is_taken_back_when_they_are_hidden(start_appliance: Start) -> None:
    rules = 'snapshots = true\nprivacy_allowed = ["pixelate", "none"]\n'
    device = start_appliance(DEMO.replace('"box"', '"bare"') + rules)
    device.wait_ready()
    with subscribed(device.mqtt_port, "visavis/#") as seen:
        publish(device.mqtt_port, "visavis/bare/demo/set/privacy", "none", "-q", "1")
        until(lambda: state(seen, "privacy") == "none", "faces are shown")
        before = len(seen.all("/demo/snapshot"))
        publish(device.mqtt_port, "visavis/bare/demo/set/snapshot", "press", "-q", "1")
        until(lambda: len(seen.all("/demo/snapshot")) > before, "a picture comes")
        publish(device.mqtt_port, "visavis/bare/demo/set/privacy", "pixelate", "-q", "1")
        until(lambda: any(not message.payload for message in seen.all("/demo/snapshot")), "it is taken back")


def retained(port: int) -> set[str]:
    """The topics under which a broker keeps something."""
    return set(heard_of(port, "mosquitto_sub -t # --retained-only -F %t -W 2"))


def heard_of(port: int, command: str) -> list[str]:
    words = [*shlex.split(command), "-p", str(port)]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.split()


def test_what_a_broker_keeps_of_a_device_that_is_gone_is_taken_back(start_appliance: Start, tmp_path: Path) -> None:
    """By the command of the page about brokers."""
    (command,) = [block.text for block in blocks("console") if "--remove-retained" in block.text]
    port, picture = free_port(), "visavis/bare/demo/snapshot"
    elsewhere = DEMO.replace('"managed"', f'"mqtt://127.0.0.1:{port}"')
    with mosquitto(tmp_path, port):
        device = start_appliance(elsewhere.replace('"box"', '"bare"') + RULES)
        until(lambda: picture in retained(port), "a picture is kept")
        device.stop()
        publish(port, "visavis/other/status", "online", "--retain")
        assert picture in heard_of(port, command.replace("porch", "bare"))
        until(lambda: retained(port) == {"visavis/other/status"}, lambda: f"{retained(port)} is left")


def test_the_client_library_gives_orders_and_waits_until_they_hold(
    appliance: RunningAppliance, seen: Subscriber
) -> None:
    device = Device("orders", Broker("127.0.0.1", appliance.mqtt_port))
    try:
        device.set("demo", "score", 0.75)
        device.set("demo", "detect", False)
        # Its own connection has heard of both; another one may hear of them a moment later.
        until(lambda: (state(seen, "score"), state(seen, "detect")) == ("0.75", "OFF"), "somebody else hears of it")
    finally:
        device.set("demo", "detect", True)
        device.set("demo", "score", 0.5)
    picture = cv2.imdecode(np.frombuffer(device.snapshot("demo"), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None


def test_the_client_library_says_when_an_order_is_not_obeyed(appliance: RunningAppliance) -> None:
    broker = Broker("127.0.0.1", appliance.mqtt_port)
    with pytest.raises(
        NotObeyed, match="visavis/orders/demo/set/privacy none was not obeyed within 10 s: is the device on"
    ):
        set_and_wait(broker, ("visavis", "orders", "demo"), "privacy", "none", 10.0)
    with pytest.raises(ValueError, match="cannot be one level of a topic"):
        Device("a/b", broker).set("demo", "detect", True)
