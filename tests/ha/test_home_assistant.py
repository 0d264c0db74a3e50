# SPDX-License-Identifier: Apache-2.0
"""What real releases of Home Assistant make of a device: entities that are there, follow the scene, obey, and leave."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path

import pytest
from visavis.broker import managed_broker

from tests.e2e.conftest import RunningAppliance, free_port
from tests.e2e.test_appliance import child_pid
from tests.ha.lab import CURRENT, OLDER, Home, Release, home
from tests.waiting import until

pytestmark = pytest.mark.ha

DEVICE = """
[device]
id = "box"
[web]
listen = "127.0.0.1:{http_port}"
[mqtt]
url = "mqtt://127.0.0.1:BROKER"
discovery = "FORM"
[[camera]]
id = "demo"
source = "demo:"
size = [640, 480]
fps = 30
snapshots = true
privacy_allowed = ["pixelate", "blur"]
"""
ZONE = 'zones = [{{ name = "left", polygon = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]] }}]\n'
OF_ZONE = {"binary_sensor.box_demo_left_occupied", "sensor.box_demo_left_faces"}
ZONE_BY_KEY = {"binary_sensor.box_demo_zone_left_occupied", "sensor.box_demo_zone_left_faces"}
OTHERS = {
    "binary_sensor.box_demo_occupied", "button.box_demo_snapshot", "camera.box_demo_picture",
    "image.box_demo_last_face", "number.box_demo_score",
    "select.box_demo_privacy", "sensor.box_demo_faces", "sensor.box_demo_fps",
    "sensor.box_demo_latency", "sensor.box_version", "switch.box_demo_detect", "switch.box_demo_enabled",
    "update.box_update",
}  # fmt: skip
HEAT = {"sensor.box_temperature", "binary_sensor.box_slowed"}  # only on machines with sensors
LOAD_LIMIT_S = 120  # two programs that are heavy at their start share the machine

Start = Callable[[str, str], RunningAppliance]


@pytest.fixture(
    scope="module", params=[(CURRENT, "device", ZONE_BY_KEY), (OLDER, "component", OF_ZONE)], ids=["current", "older"]
)
def case(request: pytest.FixtureRequest) -> tuple[Release, str, set[str]]:
    """A release, the form in which it is told, and what it calls the entities of the zone."""
    found: tuple[Release, str, set[str]] = request.param
    return found


@pytest.fixture(scope="module")
def broker(case: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    with managed_broker(port, tmp_path_factory.mktemp("broker")):
        yield port


@pytest.fixture(scope="module")
def assistant(
    case: tuple[Release, str, set[str]], broker: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Home]:
    with home(case[0], broker, tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture
def start(broker: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start the device in a form of discovery; whatever still runs is ended after the test."""
    running: list[RunningAppliance] = []

    def started(form: str, places: str = ZONE) -> RunningAppliance:
        text = DEVICE.replace("BROKER", str(broker)).replace("FORM", form) + places
        running.append(RunningAppliance(tmp_path_factory.mktemp("device"), text))
        running[-1].wait_ready()
        return running[-1]

    yield started
    for appliance in running:
        if appliance.process.poll() is None:
            appliance.stop()


def without_heat(states: dict[str, str]) -> set[str]:
    return set(states) - HEAT


def entities(assistant: Home, wanted: set[str]) -> None:
    until(
        lambda: without_heat(assistant.states()) == wanted,
        lambda: f"{sorted(without_heat(assistant.states()) ^ wanted)} are too much or missing",
        LOAD_LIMIT_S,
    )


def test_a_device_lives_in_home_assistant_from_its_coming_to_its_going(
    case: tuple[Release, str, set[str]], assistant: Home, start: Start
) -> None:
    _, form, of_zone = case
    appliance = start(form, ZONE)
    entities(assistant, OTHERS | of_zone)
    until(lambda: "unavailable" not in assistant.states().values(), lambda: f"{assistant.states()}", LOAD_LIMIT_S)
    assert_follows_the_scene(assistant)
    assert_obeys(assistant, appliance)
    assert_a_zone_can_go(assistant, appliance, of_zone)
    assert appliance.stop() == 0
    until(lambda: set(everything(assistant)) == {"unavailable"}, lambda: f"{assistant.states()}", LOAD_LIMIT_S)
    start("off", "").stop()
    until(lambda: assistant.states() == {"none": ""}, lambda: f"left over: {assistant.states()}", LOAD_LIMIT_S)


def everything(assistant: Home) -> list[str]:
    """All states but of what has never had one."""
    return [state for entity, state in assistant.states().items() if entity not in HEAT]


def assert_follows_the_scene(assistant: Home) -> None:
    """Home Assistant says what the device said, in the same order: whoever came and went, and how many there were."""
    for entity, topic in (("binary_sensor.box_demo_occupied", "occupied"), ("sensor.box_demo_faces", "faces")):
        until(partial(has_changed, assistant, entity), f"{entity} changes", LOAD_LIMIT_S)
        told = [message.payload.decode().lower() for message in assistant.seen.all(f"box/demo/{topic}")]
        heard = real(assistant.told(entity))
        assert " ".join(heard) in " ".join(state for state, _ in groupby(told)) + " ", f"{heard} is not part of {told}"


def has_changed(assistant: Home, entity: str) -> bool:
    return len(real(assistant.told(entity))) >= 4


def real(states: list[str]) -> list[str]:
    """Without the states of the beginning."""
    return [state for state, _ in groupby(states) if state not in {"unknown", "unavailable"}]


def assert_obeys(assistant: Home, appliance: RunningAppliance) -> None:
    """What is clicked reaches the camera, and comes back as the state."""
    assistant.order("switch.turn_off", "switch.box_demo_detect")
    until(lambda: not set_now(appliance)[0], "detection goes off", LOAD_LIMIT_S)
    assistant.order("switch.turn_on", "switch.box_demo_detect")
    assistant.order("number.set_value", "number.box_demo_score", value=0.35)
    assistant.order("select.select_option", "select.box_demo_privacy", option="blur")
    wanted = (True, 0.35, "blur")
    until(lambda: set_now(appliance) == wanted, lambda: f"{set_now(appliance)}", LOAD_LIMIT_S)
    until(
        lambda: (
            chosen(assistant, "switch.box_demo_detect", "number.box_demo_score", "select.box_demo_privacy")
            == ["on", "0.35", "blur"]
        ),
        lambda: f"{assistant.states()}",
        LOAD_LIMIT_S,
    )
    before = len(assistant.seen.all("box/demo/snapshot"))
    assistant.order("button.press", "button.box_demo_snapshot")
    until(lambda: len(assistant.seen.all("box/demo/snapshot")) > before, "a picture comes", LOAD_LIMIT_S)
    assert_off_and_on(assistant)


def set_now(appliance: RunningAppliance) -> tuple[bool, float, str]:
    """Whether the camera detects, its score, its privacy."""
    demo = appliance.camera("demo")
    return demo["detect"], demo["score"], demo["privacy"]


def chosen(assistant: Home, *names: str) -> list[str]:
    states = assistant.states()
    return [states.get(name, "") for name in names]


def assert_off_and_on(assistant: Home) -> None:
    """A camera that is off is unavailable, but for the switch that brings it back."""
    both = ("binary_sensor.box_demo_occupied", "switch.box_demo_enabled")
    assistant.order("switch.turn_off", "switch.box_demo_enabled")
    until(lambda: chosen(assistant, *both) == ["unavailable", "off"], lambda: f"{assistant.states()}", LOAD_LIMIT_S)
    assistant.order("switch.turn_on", "switch.box_demo_enabled")
    until(
        lambda: chosen(assistant, *both)[1] == "on" and chosen(assistant, *both)[0] in {"on", "off"},
        lambda: f"{assistant.states()}",
        LOAD_LIMIT_S,
    )


def assert_a_zone_can_go(assistant: Home, appliance: RunningAppliance, of_zone: set[str]) -> None:
    """A reload is enough, and nothing else goes."""
    text = appliance.file.read_text()
    appliance.file.write_text("".join(line for line in text.splitlines(True) if not line.startswith("zones")))
    os.kill(child_pid(appliance, "visavis-capture -config"), signal.SIGHUP)
    entities(assistant, OTHERS)
    until(lambda: set(assistant.registry("remove")) == of_zone, lambda: f"{assistant.registry('remove')}")


def test_the_forms_move_into_each_other_and_nothing_is_lost(
    case: tuple[Release, str, set[str]], assistant: Home, start: Start
) -> None:
    release, _, of_zone = case
    if release is not CURRENT:
        pytest.skip("both forms are moved where both are current")
    start("device", ZONE).stop()
    entities(assistant, OTHERS | of_zone)
    removed = len(assistant.registry("remove"))
    for form in ("component", "device"):
        appliance = start(form, ZONE)
        until(partial(fully_there, assistant, OTHERS | of_zone), lambda: f"{assistant.states()}", LOAD_LIMIT_S)
        assert appliance.stop() == 0
    assert len(assistant.registry("remove")) == removed, "an entity was removed and made anew"
    start("off", "").stop()
    until(lambda: assistant.states() == {"none": ""}, lambda: f"left over: {assistant.states()}", LOAD_LIMIT_S)


def fully_there(assistant: Home, wanted: set[str]) -> bool:
    states = assistant.states()
    return without_heat(states) == wanted and "unavailable" not in states.values()


def test_nothing_was_wrong_in_the_eyes_of_home_assistant(
    assistant: Home, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its log holds no warning about us, but that there was nothing to clean up after entities that had moved away."""
    logs = [path.read_text() for path in Path(tmp_path_factory.getbasetemp()).glob("home*/output.log")]
    lines = [line for log in logs for line in log.splitlines() if "components.mqtt" in line and "visavis" in line]
    assert [line for line in lines if "No device components to cleanup" not in line] == []
