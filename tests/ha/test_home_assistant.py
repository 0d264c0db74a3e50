# SPDX-License-Identifier: Apache-2.0
"""What real releases of Home Assistant make of a device: entities that are there, follow the scene, obey, and leave."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from pathlib import Path

import pytest
from visavis.broker import managed_broker

from tests.e2e.brokers import publish
from tests.e2e.conftest import RunningAppliance, Start
from tests.e2e.speaking import KEPT
from tests.e2e.test_appliance import child_pid
from tests.ha.lab import CURRENT, ENTRY, OLDER, Home, Release, home
from tests.ports import free_port
from tests.waiting import until

# The limit is for a machine that does much else: what is waited for has limits of its own.
pytestmark = [pytest.mark.ha, pytest.mark.timeout(1800)]

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
privacy_allowed = ["none", "blur"]
"""
YARD = """
[[camera]]
id = "yard"
source = "demo:"
size = [320, 240]
fps = 5
"""
OF_YARD = {
    f"{platform}.box_yard_{name}"
    for platform, name in (
        *(("binary_sensor", "occupied"), ("sensor", "faces"), ("sensor", "fps"), ("sensor", "latency")),
        *(("switch", "enabled"), ("switch", "detect"), ("number", "score")),
    )
}
# A device that others can reach, and that knows how warm it is.
REACHABLE = DEVICE.replace('"127.0.0.1:{http_port}"', '"0.0.0.0:{http_port}"\n[auth]\nfile = "credentials.toml"')
WARM = """\
mount -t tmpfs none /sys/class && mkdir -p /sys/class/thermal/thermal_zone0
echo 48250 >/sys/class/thermal/thermal_zone0/temp && exec "$@"
"""
THERMOMETER = ("unshare", "--mount", "sh", "-ec", WARM, "sh")
LIGHT = "homeassistant/light/hall/config"
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
# Only on machines with sensors. Older releases make ids from names.
TEMPERATURE = "sensor.box_temperature"
SLOWED, SLOWED_BY_NAME = "binary_sensor.box_slowed", "binary_sensor.box_slowed_by_heat"
HEAT = {TEMPERATURE, SLOWED, SLOWED_BY_NAME}
LOAD_LIMIT_S = 120  # two programs that are heavy at their start share the machine


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

    def started(form: str, places: str = ZONE, kind: str = DEVICE, before: tuple[str, ...] = ()) -> RunningAppliance:
        text = kind.replace("BROKER", str(broker)).replace("FORM", form) + places
        running.append(RunningAppliance(tmp_path_factory.mktemp("device"), text, before=before))
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
    assert_follows_the_scene(assistant, of_zone)
    assert_figures_and_pictures(assistant, appliance)
    assert_a_newer_version_is_told(assistant, appliance)
    assert_obeys(assistant, appliance)
    assert_a_zone_can_go(assistant, appliance, of_zone)
    assert appliance.stop() == 0
    until(lambda: set(everything(assistant)) == {"unavailable"}, lambda: f"{assistant.states()}", LOAD_LIMIT_S)
    start("off", "").stop()
    until(lambda: assistant.states() == {"none": ""}, lambda: f"left over: {assistant.states()}", LOAD_LIMIT_S)


def everything(assistant: Home) -> list[str]:
    """All states but of what has never had one."""
    return [state for entity, state in assistant.states().items() if entity not in HEAT]


def assert_follows_the_scene(assistant: Home, of_zone: set[str]) -> None:
    """Home Assistant says what the device said, in the same order: whoever came and went, and how many there were."""
    zone_occupied, zone_faces = sorted(of_zone)
    for entity, topic in (
        *(("binary_sensor.box_demo_occupied", "demo/occupied"), ("sensor.box_demo_faces", "demo/faces")),
        *((zone_occupied, "zone/left/occupied"), (zone_faces, "zone/left/faces")),
    ):
        until(partial(has_changed, assistant, entity), f"{entity} changes", LOAD_LIMIT_S)
        told = [message.payload.decode().lower() for message in assistant.seen.all(f"/{topic}")]
        heard = real(assistant.told(entity))
        assert " ".join(heard) in " ".join(state for state, _ in groupby(told)) + " ", f"{heard} is not part of {told}"


def has_changed(assistant: Home, entity: str) -> bool:
    return len(real(assistant.told(entity))) >= 4


def real(states: list[str]) -> list[str]:
    """Without the states of the beginning."""
    return [state for state, _ in groupby(states) if state not in {"unknown", "unavailable"}]


def assert_figures_and_pictures(assistant: Home, appliance: RunningAppliance) -> None:
    """The diagnostics are numbers, the version is the device's, and both pictures are those that it sent."""
    fps, latency, version = chosen(assistant, "sensor.box_demo_fps", "sensor.box_demo_latency", "sensor.box_version")
    assert float(fps) > 0
    assert float(latency) > 0
    assert version == appliance.status()["version"]
    for entity, topic in (("camera.box_demo_picture", "demo/snapshot"), ("image.box_demo_last_face", "demo/last_face")):
        until(partial(assistant.seen.all, topic), f"no picture on {topic}", LOAD_LIMIT_S)
        file = assistant.folder / "pictures" / f"{entity}.jpg"
        assistant.order(f"{entity.partition('.')[0]}.snapshot", entity, filename=f"/config/pictures/{file.name}")
        until(partial(is_one_of, file, assistant, topic), f"{entity} shows another picture", LOAD_LIMIT_S)
    assert chosen(assistant, "image.box_demo_last_face")[0].startswith("20"), "it has no time"


def is_one_of(file: Path, assistant: Home, topic: str) -> bool:
    """Whether a file holds, whole, one of the pictures of a topic."""
    return file.exists() and file.read_bytes() in {message.payload for message in assistant.seen.all(topic)}


def assert_a_newer_version_is_told(assistant: Home, appliance: RunningAppliance) -> None:
    """Nobody has looked for one at first; whoever does says which is the newest."""
    assert chosen(assistant, "update.box_update") == ["unknown"]
    running = appliance.status()["version"]
    latest = Path(os.environ["VISAVIS_STATE_DIR"]) / "latest-version"
    latest.write_text("99.0.0\n")
    until(lambda: chosen(assistant, "update.box_update") == ["on"], "no update is told", LOAD_LIMIT_S)
    assert assistant.described("update.box_update", "latest_version")["attribute"] == "99.0.0"
    assert assistant.described("update.box_update", "installed_version")["attribute"] == running
    latest.write_text(f"{running}\n")
    until(lambda: chosen(assistant, "update.box_update") == ["off"], "the update is still told", LOAD_LIMIT_S)


def assert_obeys(assistant: Home, appliance: RunningAppliance) -> None:
    """What is clicked reaches the camera, and comes back as the state."""
    assistant.order("switch.turn_off", "switch.box_demo_detect")
    until(lambda: not set_now(appliance)[0], "detection goes off", LOAD_LIMIT_S)
    seen = ("binary_sensor.box_demo_occupied", "sensor.box_demo_faces")
    until(lambda: set(chosen(assistant, *seen)) == {"unavailable"}, "who does not look tells of nobody", LOAD_LIMIT_S)
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
    assert_tells_visible_faces(assistant, appliance)
    before = len(assistant.seen.all("box/demo/snapshot"))
    assistant.order("button.press", "button.box_demo_snapshot")
    until(lambda: len(assistant.seen.all("box/demo/snapshot")) > before, "a picture comes", LOAD_LIMIT_S)
    assert_off_and_on(assistant)


def assert_tells_visible_faces(assistant: Home, appliance: RunningAppliance) -> None:
    """`none` would be a state that is not known; the privacy of the configuration is an option too."""
    privacy = "select.box_demo_privacy"
    assert assistant.described(privacy, "options")["attribute"] == ["pixelate", "visible", "blur"]
    for option, value in (("visible", "none"), ("blur", "blur")):
        assistant.order("select.select_option", privacy, option=option)
        until(partial(is_private, assistant, appliance, option, value), f"faces are shown as {option}", LOAD_LIMIT_S)


def is_private(assistant: Home, appliance: RunningAppliance, option: str, value: str) -> bool:
    """Whether the camera has this privacy, and Home Assistant shows that option."""
    return set_now(appliance)[2] == value and chosen(assistant, "select.box_demo_privacy") == [option]


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


def test_a_device_that_others_reach(
    case: tuple[Release, str, set[str]], assistant: Home, start: Start, broker: int
) -> None:
    """It links to its page and knows how warm it is; a camera goes, Home Assistant comes back, figures grow old."""
    release, form, _ = case
    slowed = SLOWED if release is CURRENT else SLOWED_BY_NAME
    appliance = start(form, YARD, kind=REACHABLE, before=THERMOMETER)
    wanted = OTHERS | {TEMPERATURE, slowed}
    until(lambda: set(assistant.states()) == wanted | OF_YARD, lambda: f"{assistant.states()}", LOAD_LIMIT_S)
    until(
        lambda: chosen(assistant, slowed, TEMPERATURE) == ["off", "48.25"],
        lambda: f"{assistant.states()}",
        LOAD_LIMIT_S,
    )
    url = assistant.described("sensor.box_demo_faces", "friendly_name")["url"]
    assert url == f"http://box.local:{appliance.http_port}/"
    appliance.file.write_text(appliance.file.read_text().partition(YARD)[0])
    os.kill(child_pid(appliance, "visavis-capture -config"), signal.SIGHUP)
    until(lambda: set(assistant.states()) == wanted, lambda: f"{assistant.states()}", LOAD_LIMIT_S)
    assert_it_is_told_again(assistant, wanted, broker)
    assert appliance.stop() == 0
    assert_figures_grow_old(assistant, broker)
    start("off", "").stop()
    until(lambda: assistant.states() == {"none": ""}, lambda: f"left over: {assistant.states()}", LOAD_LIMIT_S)


def assert_it_is_told_again(assistant: Home, wanted: set[str], broker: int) -> None:
    """What was retained is lost; when Home Assistant comes back to the broker and says so, it is told all."""
    for topic in {message.topic for message in assistant.seen.all("/config") if message.payload}:
        publish(broker, topic, "", *KEPT)
    until(lambda: assistant.states() == {"none": ""}, lambda: f"{assistant.states()}", LOAD_LIMIT_S)
    births = len(assistant.seen.all("homeassistant/status"))
    assistant.call("homeassistant.reload_config_entry", entry_id=ENTRY["entry_id"])
    until(lambda: len(assistant.seen.all("homeassistant/status")) > births, "no birth", LOAD_LIMIT_S)
    until(lambda: set(assistant.states()) == wanted, lambda: f"{assistant.states()}", LOAD_LIMIT_S)


def assert_figures_grow_old(assistant: Home, broker: int) -> None:
    """A device that is there but tells no figures: those become unavailable by themselves, and nothing else does."""
    publish(broker, "visavis/box/status", "online", *KEPT)
    for topic in ("status", "detecting"):
        publish(broker, f"visavis/box/demo/{topic}", "online", *KEPT)
    publish(broker, "visavis/box/stats", assistant.seen.all("box/stats")[-1].payload.decode())
    figures = ("sensor.box_demo_fps", "sensor.box_demo_latency", TEMPERATURE)
    until(lambda: "unavailable" not in chosen(assistant, *figures), "no figures", LOAD_LIMIT_S)
    until(lambda: set(chosen(assistant, *figures)) == {"unavailable"}, "old figures stay", LOAD_LIMIT_S)
    assert "unavailable" not in chosen(assistant, "sensor.box_demo_faces", "sensor.box_version")


def test_the_automation_of_the_page_switches_a_light(
    case: tuple[Release, str, set[str]], assistant: Home, start: Start, broker: int
) -> None:
    publish(broker, LIGHT, json.dumps({"name": "hall", "unique_id": "hall", "command_topic": "test/hall"}), *KEPT)
    until(lambda: "light.hall" in assistant.states(), "there is no light", LOAD_LIMIT_S)
    appliance = start(case[1], "")
    until(lambda: {b"ON", b"OFF"} <= switched(assistant), "the light stays as it is", LOAD_LIMIT_S)
    publish(broker, LIGHT, "", *KEPT)
    assert appliance.stop() == 0
    start("off", "").stop()
    until(lambda: assistant.states() == {"none": ""}, lambda: f"left over: {assistant.states()}", LOAD_LIMIT_S)


def switched(assistant: Home) -> set[bytes]:
    return {message.payload for message in assistant.seen.all("test/hall")}


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
        told = tellings(assistant, form)
        appliance = start(form, ZONE)
        # A Home Assistant that is slow misses some of a move; the device tells all again for its sake.
        until(partial(told_since, assistant, form, told + 2), "it is not told again", LOAD_LIMIT_S)
        until(partial(settled, assistant, OTHERS | of_zone), lambda: f"{assistant.states()}", LOAD_LIMIT_S)
        assert appliance.stop() == 0
    assert len(assistant.registry("remove")) == removed, "an entity was removed and made anew"
    start("off", "").stop()
    until(lambda: assistant.states() == {"none": ""}, lambda: f"left over: {assistant.states()}", LOAD_LIMIT_S)


def tellings(assistant: Home, form: str) -> int:
    """How often the device was announced in this form."""
    topic = {"device": "device/visavis_box/config", "component": "visavis_box/demo_faces/config"}[form]
    return sum(1 for message in assistant.seen.all(topic) if b"origin" in message.payload)


def told_since(assistant: Home, form: str, times: int) -> bool:
    return tellings(assistant, form) >= times


def settled(assistant: Home, wanted: set[str]) -> bool:
    """All is there and stays: entities that move are there before, too, and each look lets Home Assistant work on."""
    return all(fully_there(assistant, wanted) for _ in range(20))


def fully_there(assistant: Home, wanted: set[str]) -> bool:
    states = assistant.states()
    return without_heat(states) == wanted and "unavailable" not in states.values()


def test_nothing_was_wrong_in_the_eyes_of_home_assistant(
    assistant: Home, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its log holds no warning about us, but that there was nothing to clean up after entities that had moved away.

    It takes the automations of the pages, too; in a home without any light there is no action for lights.
    """
    logs = [path.read_text() for path in Path(tmp_path_factory.getbasetemp()).glob("home*/output.log")]
    lines = [line for log in logs for line in log.splitlines() if "components.mqtt" in line and "visavis" in line]
    assert [line for line in lines if "No device components to cleanup" not in line] == []
    shown = [line for log in logs for line in log.splitlines() if "automation" in line and "shown" in line]
    assert [line for line in shown if not re.search(r"Action light\.turn_(on|off) not found", line)] == []
