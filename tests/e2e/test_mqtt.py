# SPDX-License-Identifier: Apache-2.0
"""Every topic of contracts/mqtt.toml from the real appliance over the real broker, held against its contract."""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from visavis.broker import managed_broker

from tests.e2e.brokers import publish
from tests.e2e.conftest import Start
from tests.e2e.subscriber import Message, Subscriber, subscribed, topic_of, topics, violation
from tests.e2e.test_appliance import DEMO, SCRIPT_LIMIT_S, assert_adds_up, child_pid, worker_pid
from tests.ports import free_port
from tests.standing_still import paused
from tests.waiting import HANG_S, until

pytestmark = pytest.mark.timeout(600)  # limits within a test add up to more than the usual one

STATS_INTERVAL_S, LATE_S = 10.0, 8.0
SNAPSHOT = "/api/v1/cameras/demo/snapshot.jpg"
OTHER_FORM = "discovery_component"  # only with mqtt.discovery = "component"
PRESS = "visavis/box/demo/set/snapshot"
ZONE = 'zones = [{{ name = "left", polygon = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]] }}]'
GOOD: dict[str, Any] = {
    "schema": 1, "version": "1", "model": "centerface", "backend": "onnxruntime", "precision": "fp32", "workers": 1,
    "fallback": False, "cameras": ["door"], "url": "", "brokers": {"mqtt": True},
}  # fmt: skip


@pytest.mark.slow
def test_every_topic_is_sent_and_every_message_is_as_the_contract_says(start_appliance: Start) -> None:
    appliance = start_appliance(DEMO + ZONE + "\nsnapshots = true\n")
    appliance.wait_ready()
    with subscribed(appliance.mqtt_port, "#") as seen:
        publish(appliance.mqtt_port, PRESS, "press")
        until(lambda: len(seen.all("/stats")) >= 3, "three stats", 60)
        until(lambda: len(seen.all("/demo/occupied")) > 2, "somebody comes and goes", SCRIPT_LIMIT_S)
        assert appliance.camera("demo")["frames"]["inferred"] > 0
        assert appliance.stop() == 0  # ends the broker too, after `offline`
        seen.to_the_end()
    assert_stats_come_every_ten_seconds(seen)
    sent = [message for message in seen.all() if message.topic != PRESS]
    assert [violation(message) for message in sent if violation(message)] == []
    silent = {topic["name"] for topic in topics()} - {name_of(message) for message in sent} - {OTHER_FORM}
    assert not silent, "these topics were never sent"
    assert [message.payload for message in seen.all("box/status")] == [b"online", b"offline"]


def name_of(message: Message) -> str:
    topic = topic_of(message)
    assert topic is not None
    return str(topic["name"])


def assert_stats_come_every_ten_seconds(seen: Subscriber) -> None:
    for before, after in itertools.pairwise(seen.all("/stats")):
        assert abs(after.arrived_s - before.arrived_s - STATS_INTERVAL_S) < LATE_S
    newest = seen.all("/stats")[-1].json()["cameras"]["demo"]
    assert newest["fps_captured"] > 0
    assert newest["latency_ms_p50"]["total"] > 0


def test_the_info_follows_the_worker_and_the_list_of_cameras(start_appliance: Start) -> None:
    appliance = start_appliance(DEMO)
    appliance.wait_ready()
    with subscribed(appliance.mqtt_port, "visavis/box/info") as seen:

        def newest(key: str) -> Any:
            return seen.all()[-1].json()[key] if seen.all() else None

        until(lambda: newest("backend") == "onnxruntime", lambda: f"the info is {seen.all()}")
        assert newest("model") == "centerface"
        appliance.file.write_text(appliance.file.read_text() + '[[camera]]\nid = "second"\nsource = "demo:"\n')
        os.kill(child_pid(appliance, "visavis-capture -config"), signal.SIGHUP)
        until(lambda: newest("cameras") == ["demo", "second"], lambda: f"the info is {seen.all()}")
        assert newest("backend") == "onnxruntime"


def test_a_camera_at_which_no_worker_looks_is_told(start_appliance: Start) -> None:
    appliance = start_appliance(DEMO, "--backend", "fake")
    appliance.wait_ready()
    with subscribed(appliance.mqtt_port, "visavis/box/demo/detecting") as seen:

        def becomes(word: bytes) -> None:
            until(lambda: seen.all() and seen.all()[-1].payload == word, lambda: f"{word!r} is not told: {seen.all()}")
            assert appliance.camera("demo")["detecting"] is (word == b"online")

        becomes(b"online")
        worker, supervisor = worker_pid(appliance), appliance.process.pid
        with paused(supervisor):  # so that it starts no other one
            os.kill(worker, signal.SIGKILL)
            becomes(b"offline")
        becomes(b"online")
        for order, word in (("OFF", b"offline"), ("ON", b"online")):
            publish(appliance.mqtt_port, "visavis/box/demo/set/detect", order)
            becomes(word)


def test_a_worker_that_hangs_is_told_before_its_cameras_seem_empty(start_appliance: Start) -> None:
    appliance = start_appliance("[worker]\nlease_ms = 3000\n" + DEMO, "--backend", "fake")
    appliance.wait_ready()
    with subscribed(appliance.mqtt_port, "visavis/box/demo/#") as seen:

        def newest(name: str) -> bytes:
            told = [one.payload for one in seen.all() if one.topic == f"visavis/box/demo/{name}"]
            return told[-1] if told else b""

        until(lambda: newest("detecting") == b"online" and newest("faces") not in (b"", b"0"), lambda: f"{seen.all()}")
        with paused(worker_pid(appliance)):
            until(lambda: newest("faces") == b"0", "nobody has left")
            told = [(one.topic.rpartition("/")[2], one.payload) for one in seen.all()]
            ended = len(told) - told[::-1].index(("detecting", b"online"))
            names = [
                name
                for name, payload in told[ended:]
                if (name, payload) in (("detecting", b"offline"), ("faces", b"0"))
            ]
            assert names == ["detecting", "faces"]
            assert appliance.camera("demo")["detecting"] is False
        until(lambda: newest("detecting") == b"online", "nobody looks again")


def test_a_broker_that_hangs_holds_up_neither_capture_nor_pictures(start_appliance: Start) -> None:
    appliance = start_appliance(DEMO)
    appliance.wait_ready()
    broker = child_pid(appliance, "mosquitto -c")
    with subscribed(appliance.mqtt_port, "visavis/box/demo/detections") as seen:
        until(seen.all, "a first message")
        with paused(broker):
            before, picture = appliance.camera("demo")["frames"]["inferred"], appliance.get(SNAPSHOT)
            until(lambda: appliance.camera("demo")["frames"]["inferred"] > before + 30, "inference goes on")
            assert appliance.get(SNAPSHOT) != picture
        newest = appliance.camera("demo")["frames"]["inferred"]
        until(lambda: seen.all()[-1].json()["frame"] > newest, "messages go on")
        assert_adds_up([message.json() for message in seen.all()])


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a real mosquitto."""
    port = free_port()
    with managed_broker(port, tmp_path_factory.mktemp("broker")):
        yield port


def sent(broker: int, topic: str, payload: bytes, qos: int, retain: bool) -> Message:
    """Publish one message by a client of its own and return it as the subscriber saw it."""
    with subscribed(broker, topic) as seen:
        client = paho.Client(CallbackAPIVersion.VERSION2)
        client.connect("127.0.0.1", broker)
        client.loop_start()
        client.publish(topic, payload, qos, retain).wait_for_publish(HANG_S)
        client.publish(topic, b"", 1, True).wait_for_publish(HANG_S)  # leave nothing behind, and know that it is so
        client.disconnect()
        client.loop_stop()
        message: Message = until(lambda: seen.all()[:1], f"{topic} arrives")[0]
        return message


def info(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def test_a_sound_message_is_found_sound(broker: int) -> None:
    assert violation(sent(broker, "visavis/box/info", info(), 1, True)) == ""


@pytest.mark.parametrize(
    ("topic", "payload", "qos", "retain", "words"),
    [
        ("visavis/box/info", info(schema=2), 1, True, "1 was expected"),
        ("visavis/box/info", info(model="centerface@onnxruntime"), 1, True, "does not match"),
        ("visavis/box/info", info(precision="auto"), 1, True, "does not match"),
        ("visavis/box/info", info(workers="1"), 1, True, "not of type 'integer'"),
        ("visavis/box/info", info(owner="me"), 1, True, "owner"),
        ("visavis/box/info", b'{"schema": 1}', 1, True, "required property"),
        ("visavis/box/info", b"{", 1, True, "Expecting property name"),
        ("visavis/box/info", info(), 0, True, "QoS 0"),
        ("visavis/box/info", info(), 1, False, "retain False"),
        ("visavis/box/door/detections", info(), 0, False, "required property"),
        ("visavis/box/stats", info(), 0, False, "required property"),
        ("visavis/box/status", b"on", 1, True, "want `online`, `offline`"),
        ("visavis/box/door/occupied", b"true", 1, True, "want `ON`, `OFF`"),
        ("visavis/box/door/faces", b"-1", 1, True, "want a whole number"),
        ("visavis/box/door/events", b"{}", 1, False, "no such topic"),
        ("visavis/box/door/state/score", b"2", 1, True, "want `ON`, `OFF`, `pixelate`"),
        ("visavis/box/door/snapshot", b"PNG", 0, True, "want a JPEG"),
    ],
)
def test_a_broken_message_is_found(broker: int, topic: str, payload: bytes, qos: int, retain: bool, words: str) -> None:
    assert words in violation(sent(broker, topic, payload, qos, retain))
