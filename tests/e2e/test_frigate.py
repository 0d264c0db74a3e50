# SPDX-License-Identifier: Apache-2.0
"""A consumer written after Frigate's own page about MQTT reads a device that speaks in Frigate's form too."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest

from contracts.toml_file import read_toml
from tests.e2e.conftest import RunningAppliance, running
from tests.e2e.subscriber import CONTRACTS, Message, Subscriber, subscribed
from tests.e2e.test_appliance import DEMO, SCRIPT_LIMIT_S
from tests.repo.pages import blocks
from tests.waiting import until

pytestmark = pytest.mark.timeout(600)  # limits within a test add up to more than the usual one

SCHEMA = json.loads((CONTRACTS / "schemas/frigate_event.schema.json").read_text())
BOTH = DEMO.replace('url = "managed"', 'url = "managed"\nformats = ["native", "frigate"]')
ZONE = 'snapshots = true\nzones = [{{ name = "left", polygon = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]] }}]\n'


class Consumer:
    """Keeps what Frigate's page says that one can keep: the objects that are there, by their id."""

    def __init__(self) -> None:
        self.there: dict[str, dict[str, Any]] = {}
        self.types: list[str] = []
        self.zones: set[str] = set()

    def take(self, message: Message) -> None:
        event = json.loads(message.payload)
        jsonschema.validate(event, SCHEMA, cls=jsonschema.Draft202012Validator)
        before, after = event["before"], event["after"]
        self.types.append(event["type"])
        if event["type"] == "new":
            assert after["id"] not in self.there
        else:
            assert before == self.there.pop(after["id"]), "before is not what was told last"
        if event["type"] == "end":
            assert after["end_time"] >= after["start_time"]
            return
        x1, y1, x2, y2 = after["box"]
        assert after["area"] == (x2 - x1) * (y2 - y1) > 0
        self.zones.update(after["current_zones"])
        self.there[after["id"]] = after


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    with running(tmp_path_factory.mktemp("appliance"), BOTH + ZONE) as appliance:
        yield appliance


@pytest.mark.slow
def test_what_is_built_around_frigate_keeps_working(appliance: RunningAppliance) -> None:
    with subscribed(appliance.mqtt_port, "#") as seen:
        until(lambda: enough(seen), "faces that come, enter the zone and go", SCRIPT_LIMIT_S)
        until(lambda: seen.all("frigate/demo/face/snapshot"), "a picture")
        until(lambda: counted(seen) >= {b"0", b"1"}, "nobody and somebody", SCRIPT_LIMIT_S)
        until(lambda: seen.all("frigate/left/face"), "a count of the zone")
        consumer = Consumer()
        for message in since_somebody_new(seen):
            consumer.take(message)
        assert all(int(count) >= 0 for count in counted(seen))
        assert [message.payload for message in seen.all("frigate/available")] == [b"online"]
        picture = np.frombuffer(seen.all("frigate/demo/face/snapshot")[-1].payload, np.uint8)
        assert cv2.imdecode(picture, cv2.IMREAD_COLOR) is not None
        assert seen.all("visavis/box/demo/faces"), "the native topics are gone"
    assert set(consumer.types) == {"new", "update", "end"}
    assert consumer.zones == {"left"}
    names = [broker["name"] for broker in appliance.status()["brokers"]]
    assert names == ["mqtt", "mqtt/frigate"]


@pytest.mark.slow
def test_the_script_of_the_page_says_who_comes_and_goes(appliance: RunningAppliance, tmp_path: Path) -> None:
    (script,) = (block for block in blocks("python") if block.note == "frigate_events.py")
    file, out = tmp_path / script.note, tmp_path / "said"
    file.write_text(script.text)
    command = [sys.executable, str(file), "127.0.0.1", str(appliance.mqtt_port)]
    with out.open("w") as said, subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT) as process:
        try:
            for words in (r"somebody came, \d+% sure", "somebody is in left", r"somebody went after \d+ s"):
                until(partial(said_so, out, f"demo: {words}"), out.read_text, SCRIPT_LIMIT_S)
        finally:
            process.kill()
    assert "Traceback" not in out.read_text()


def said_so(out: Path, words: str) -> bool:
    return re.search(words, out.read_text()) is not None


def test_metrics_are_those_of_the_reference(appliance: RunningAppliance) -> None:
    """Nothing else, and everything but what it need not have: a thermometer, a line, clients, a model server."""
    told = set(re.findall(r"^# TYPE (visavis_\w+ \w+)$", appliance.get("/metrics").decode(), re.MULTILINE))
    known = {f"visavis_{one['name']} {one['kind']}" for one in read_toml(CONTRACTS / "metrics.toml")["metric"]}
    may_miss = {"temperature_celsius gauge", "line_crossed_total counter"}
    may_miss |= {"pushed_pictures_total counter", "client_stage_seconds histogram"}
    may_miss |= {"server_losses_total counter", "server_local_frames_total counter"}
    assert told <= known
    assert known - told <= {f"visavis_{name}" for name in may_miss}


def counted(seen: Subscriber) -> set[bytes]:
    return {message.payload for message in seen.all("frigate/demo/face")}


def enough(seen: Subscriber) -> bool:
    told = [json.loads(message.payload) for message in since_somebody_new(seen)]
    zones = {zone for one in told if one["type"] != "end" for zone in one["after"]["current_zones"]}
    return {one["type"] for one in told} == {"new", "update", "end"} and zones != set()


def since_somebody_new(seen: Subscriber) -> list[Message]:
    """Without those whose beginning was before we listened."""
    known: set[str] = set()
    kept = []
    for message in seen.all("frigate/events"):
        event = json.loads(message.payload)
        if event["type"] == "new":
            known.add(event["after"]["id"])
        if event["after"]["id"] in known:
            kept.append(message)
    return kept
