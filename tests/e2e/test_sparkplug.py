# SPDX-License-Identifier: Apache-2.0
"""A device as an edge node of Sparkplug B, read by a decoder that is not ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import RunningAppliance, running
from tests.e2e.subscriber import Message, Subscriber, subscribed
from tests.e2e.test_appliance import DEMO, SCRIPT_LIMIT_S
from tests.kserve.servers import site
from tests.waiting import until

PROGRAM = Path(__file__).with_name("sparkplug_program.py")
COMMAND = "spBv1.0/house/NCMD/box"
NODE, CAMERA = "spBv1.0/house/{}/box", "spBv1.0/house/{}/box/demo"
BOTH = DEMO.replace('"managed"', '"managed"\nformats = ["native", "sparkplug"]\nsparkplug_group = "house"')
PLACES = """
zones = [{{ name = "left", polygon = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]] }}]
lines = [{{ name = "gate", start = [0.5, 1], end = [0.5, 0] }}]
"""
METRICS = {
    "detecting": "BOOLEAN", "faces": "INT32", "occupied": "BOOLEAN",
    "appeared": "UINT64", "gone": "UINT64", "event": "STRING",
    "zone/left/faces": "INT32", "zone/left/occupied": "BOOLEAN",
    "zone/left/entered": "UINT64", "zone/left/left": "UINT64",
    "line/gate/in": "UINT64", "line/gate/out": "UINT64",
}  # fmt: skip


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    site("pysparkplug")
    with running(tmp_path_factory.mktemp("appliance"), BOTH + PLACES) as appliance:
        yield appliance


def decoded(*messages: tuple[str, bytes]) -> list[dict[str, Any]]:
    """What pysparkplug reads in each message."""
    lines = "".join(json.dumps({"topic": topic, "payload": payload.hex()}) + "\n" for topic, payload in messages)
    environment = {**os.environ, "PYTHONPATH": str(site("pysparkplug"))}
    command = [sys.executable, str(PROGRAM)]
    done = subprocess.run(command, input=lines, env=environment, capture_output=True, text=True, check=False)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(messages), done.stderr
    assert not [one for one in found if "error" in one]
    return found


def ask_for_rebirth(port: int, payload: bytes) -> None:
    command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-t", COMMAND, "-q", "1", "-s"]
    subprocess.run(command, input=payload, check=True)


@pytest.mark.slow
def test_a_host_that_asks_for_a_birth_can_follow_everything(appliance: RunningAppliance) -> None:
    rebirth = bytes.fromhex(decoded((COMMAND, b""))[0]["payload"])
    with subscribed(appliance.mqtt_port, "spBv1.0/#") as seen:
        ask_for_rebirth(appliance.mqtt_port, rebirth)
        until(lambda: seen.all(NODE.format("NBIRTH")), "a birth")
        until(lambda: len(events(seen)) > 1, "events", SCRIPT_LIMIT_S)
        ask_for_rebirth(appliance.mqtt_port, rebirth)
        until(lambda: len(seen.all(CAMERA.format("DBIRTH"))) > 1, "another birth")
        messages = [message for message in seen.all() if message.topic != COMMAND]
    assert not [message.topic for message in messages if message.retain or message.qos != 0]
    follow(decoded(*((message.topic, message.payload) for message in messages)))


def events(seen: Subscriber) -> list[Message]:
    """Those after the first birth."""
    messages = seen.all()
    births = [at for at, message in enumerate(messages) if message.topic == NODE.format("NBIRTH")]
    return [message for message in messages[births[0] :] if "DDATA" in message.topic and b'"visit"' in message.payload]


def follow(messages: list[dict[str, Any]]) -> None:
    """What a host application checks: numbers without a hole, births before data, no metric that no birth has named."""
    while messages[0]["kind"] != "NBIRTH":
        messages = messages[1:]
    known: dict[str, dict[str, Any]] = {}
    due, ids = 0, []
    for message in messages:
        if message["kind"] == "NBIRTH":
            assert message["metrics"]["Node Control/Rebirth"] == {"type": "BOOLEAN", "value": False}
            assert message["metrics"]["bdSeq"] == {"type": "INT64", "value": 0}, (
                "a rebirth has the number of its connection"
            )
            known, due = {"": message["metrics"]}, 0
        assert message["seq"] == due, "a message is missing"
        due = (due + 1) % 256
        if message["kind"] == "DBIRTH":
            known[message["device"]] = message["metrics"]
            assert {name: one["type"] for name, one in message["metrics"].items()} == METRICS
        assert message["metrics"].keys() <= known[message["device"] or ""].keys()
        if "event" in message["metrics"] and message["kind"] == "DDATA":
            ids.append(json.loads(message["metrics"]["event"]["value"])["id"])
    assert ids == sorted(set(ids)), "events are out of order"
    assert ids
    last = [one["metrics"] for one in messages if one["kind"] == "DBIRTH"][-1]
    assert last["appeared"]["value"] > 0


def test_an_orderly_end_is_told(tmp_path: Path) -> None:
    fake = BOTH.replace("[[camera]]", '[detector]\nbackend = "fake"\n[[camera]]')
    with running(tmp_path, fake) as appliance, subscribed(appliance.mqtt_port, NODE.format("NDEATH")) as seen:
        assert appliance.stop() == 0
        seen.to_the_end()
        (death,) = seen.all()
    (said,) = decoded((death.topic, death.payload))
    assert said["metrics"] == {"bdSeq": {"type": "INT64", "value": 0}}
    assert death.qos == 1
    assert not death.retain
